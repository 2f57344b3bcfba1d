"""A checkout as other people have it: with a blank and an umlaut in its path, renamed, another account's."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.ports import LISTENING
from control.testing import free_ports
from core.layout import CHECKOUT

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(3000)]

NOBODY = 65534


class Checkout:
    """A copy of the source tree that is its own home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def script(
        self, name: str, *arguments: str, nobody: bool = False, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        # The caller's, as a user has it: proxies and certificates are needed where packages are installed.
        own = ("TIEOUT", "PYTHON", "PYTEST", "VIRTUAL_ENV", "LC_", "LANG")
        known = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        account = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if nobody else {}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [str(self.folder / "scripts" / name), *arguments], env=known | environment, capture_output=True, text=True,
            check=False, timeout=1500, cwd="/", **account,
        )  # fmt: skip

    def succeeds(self, name: str, *arguments: str, **environment: str) -> str:
        done = self.script(name, *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, name: str, *arguments: str, **options: bool) -> str:
        done = self.script(name, *arguments, **options)  # type: ignore[arg-type]
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "Next: " in done.stderr
        return done.stderr


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    above = Path(tempfile.mkdtemp(prefix="tieout-checkout-", dir="/var/tmp"))
    above.chmod(0o755)
    copy = Checkout(above / "my tieout ä")
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        if (CHECKOUT / name).exists():
            (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, copy.folder / name)
    shutil.copytree(CHECKOUT / ".tieout" / "jars", copy.folder / ".tieout" / "jars")  # a minute of fetching
    (copy.folder / ".tieout" / "jars" / "stamp").unlink(missing_ok=True)
    ports = zip(LISTENING, free_ports(len(LISTENING)), strict=True)
    lines = [*(f"{name}={port}" for name, port in ports), "LOOP=off"]
    (copy.folder / ".env").write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        yield copy
    finally:
        if copy.folder.exists():
            copy.script("stop.sh")
        shutil.rmtree(above)


def test_a_checkout_works_wherever_it_is_and_says_so_where_it_cannot(checkout: Checkout) -> None:
    # LC_ALL=C: the locale of many servers and of every cron job.
    checkout.succeeds("start.sh", "--no-demo", LC_ALL="C")
    checkout.succeeds("tieout", "produce", "--total", "300", "--rate", "0", LC_ALL="C")
    assert json.loads(checkout.succeeds("tieout", "run", "--json", LC_ALL="C"))["ok"]
    assert json.loads(checkout.succeeds("status.sh", "--json", LC_ALL="C"))["ok"]
    assert checkout.succeeds("tieout", "sql", "-t", "select count(*) > 0 from marts.fact_transactions").strip() == "t"
    checkout.succeeds("tieout", "proof", "--full", LC_ALL="C")
    assert sorted(path.name for path in checkout.folder.parent.iterdir()) == [checkout.folder.name]
    assert "belongs to" in checkout.fails("tieout", "status", nobody=True)
    assert "belongs to" in checkout.fails("start.sh", nobody=True)
    _lost_settings_are_noticed_before_anything_stops(checkout)
    checkout.succeeds("stop.sh")
    # Without a supervised stream `run` starts a Java of its own.
    checkout.succeeds("tieout", "start", "--base", LC_ALL="C")
    checkout.succeeds("tieout", "produce", "--total", "50", "--rate", "0", LC_ALL="C")
    assert json.loads(checkout.succeeds("tieout", "run", "--json", LC_ALL="C"))["ok"]
    checkout.succeeds("stop.sh")
    renamed = Checkout(checkout.folder.with_name("renamed ö"))
    checkout.folder.rename(renamed.folder)
    checkout.folder = renamed.folder
    assert "was renamed, moved or copied" in renamed.fails("tieout", "status")
    renamed.succeeds("start.sh", "--no-demo")
    renamed.succeeds("tieout", "produce", "--total", "50", "--rate", "0")
    assert json.loads(renamed.succeeds("tieout", "run", "--json"))["ok"]
    assert json.loads(renamed.succeeds("status.sh", "--json"))["ok"]


def _lost_settings_are_noticed_before_anything_stops(checkout: Checkout) -> None:
    settings, away = checkout.folder / ".env", checkout.folder / "kept"
    before = {row["name"]: row["state"] for row in json.loads(checkout.succeeds("status.sh", "--json"))["services"]}
    settings.rename(away)
    assert "is missing" in checkout.fails("start.sh", "--no-demo")
    assert not settings.exists()
    away.rename(settings)
    text = settings.read_text(encoding="utf-8")
    name = "POSTGRES_PASSWORD_POSTGRES="
    others = [f"{name}another" if line.startswith(name) else line for line in text.splitlines()]
    settings.write_text("\n".join(others), encoding="utf-8")
    assert "put the old .env back" in checkout.fails("start.sh", "--no-demo")
    settings.write_text(text, encoding="utf-8")
    after = {row["name"]: row["state"] for row in json.loads(checkout.succeeds("status.sh", "--json"))["services"]}
    assert after == before
