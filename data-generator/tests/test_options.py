"""Every option of every command with values that no one should give: one clear error, the right exit code."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from core.errors import TieoutError
from core.text import shown
from data_generator.cli import mount
from data_generator.options import parse_broker

Tieout = Callable[..., Result]

ODD = [
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "inf",
    "-inf",
    "nan",
    "NaN",
    "18446744073709551616",
    "-9223372036854775809",
    "9" * 5_000,
    "0." + "3" * 5_000,
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-11-01T24:00:00Z",
    "2026-11-01T99:99:99Z",
    "2026-11-01T00:00:00+99:99",
    "999999d",
    "last:999999d",
    "last:",
    "last:0d",
    "a\0b",
    "[/red]",
    "[bold]x[/bold]",
    "\x1b[31mred",
    "\u202eabc\u200b",
    "٣",
    "ä b",
    "\udcff",
    "=1+1",
    "-x",
    "--",
    "../../etc",
    "x" * 300,
]
VALUES = ("--rate", "--total", "--broker", "--kaggle", "--mix", "--seed", "--start", "--timeline", "--faults")
VALUES += ("--settle-within", "--resend", "--max-bad-rows")
DATED = ("--start", "--total", "--rate", "--mix", "--settle-within")


@pytest.fixture
def tieout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_csv: Callable[..., str], sound: dict[str, str]
) -> Tieout:
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARD_HASH_KEY", "a key")
    monkeypatch.setenv("KAFKA_PASSWORD_GATEWAY", "a password")
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("data_generator.stopping.Stop.listen", lambda _: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cards.csv").write_text(as_csv([sound] * 3))
    app = typer.Typer()
    mount(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def ends_well(result: Result, value: str) -> None:
    """Hold a command to what a person may expect of it: an exit code, and an error that names the value."""
    if isinstance(result.exception, TieoutError):
        assert value[:40] in str(result.exception) or shown(value)[:40] in str(result.exception)
        assert result.exception.next
    else:
        assert result.exit_code in (0, 2), result.exception
        assert isinstance(result.exception, SystemExit | None)
    if result.exit_code == 2 and "\0" not in value:  # which no shell could pass on
        words = re.sub(r"[\s│]+", " ", result.output)
        forms = (value, shown(value), repr(value)[1:-1])
        assert any(re.sub(r"\s+", " ", form)[:20] in words for form in forms), words


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:30])
@pytest.mark.parametrize("option", VALUES)
def test_no_value_of_any_option_ends_in_a_traceback(tieout: Tieout, option: str, value: str) -> None:
    words = {"--kaggle": "cards.csv", "--total": "5", "--timeline": "live"}
    timelines = ("live", "last:30d", "original") if option in DATED else ("live",)
    for timeline in timelines:
        chosen = words | {"--timeline": timeline} | {option: value}
        given = [f"{name}={each}" for name, each in chosen.items()]
        if option == "--resend":
            given = [f"--resend={value}"]
        else:
            given.append("--dry-run")
        result = tieout("produce", "--json", *given)
        ends_well(result, value)
        if result.exit_code == 0:
            assert json.loads(result.stdout)["ok"] is True
        else:
            assert "Traceback" not in result.output


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:30])
def test_no_place_for_the_data_set_ends_in_a_traceback(tieout: Tieout, value: str, force: bool) -> None:
    result = tieout("dataset", "download", f"--to={value}", *(["--force"] if force else []))
    assert isinstance(result.exception, TieoutError) or result.exit_code == 2
    assert not list(Path().glob(".fetching-*"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rate", "inf"),
        ("--rate", "nan"),
        ("--rate", "1e-300"),
        ("--total", "18446744073709551616"),
        ("--total", "9" * 5_000),
        ("--seed", "18446744073709551616"),
        ("--mix", "nan"),
        ("--start", ""),
        ("--start", "0001-01-01T00:00:00Z"),
        ("--start", "9999-12-31T23:59:59-23:59"),
        ("--timeline", "last:999999d"),
        ("--broker", ""),
        ("--broker", "localhost"),
        ("--broker", "localhost:70000"),
    ],
)
def test_what_leaves_the_calendar_or_the_numbers_is_misuse_that_is_named(
    tieout: Tieout, option: str, value: str
) -> None:
    words = {"--total": "5", "--kaggle": "cards.csv", option: value}
    result = tieout("produce", "--dry-run", *(f"{name}={each}" for name, each in words.items()))
    assert result.exit_code == 2
    assert option.removeprefix("--") in result.output
    assert value[:20] in result.output.replace("\n", "")


@pytest.mark.parametrize(("rate", "code"), [("inf", 1), ("nan", 1), ("1e+300", 1), ("1e-30", 2)])
def test_a_rate_of_the_settings_is_checked_too(
    tieout: Tieout, monkeypatch: pytest.MonkeyPatch, rate: str, code: int
) -> None:
    monkeypatch.setenv("PRODUCER_RATE", rate)
    result = tieout("produce", "--kaggle=cards.csv")
    assert result.exit_code == code
    assert "PRODUCER_RATE" in (result.output or str(result.exception))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("127.0.0.1:9092", True),
        ("broker-1.example.com:9092,broker-2:1", True),
        ("[::1]:9092", True),
        ("a:0", False),
        ("a:65536", False),
        ("a:b", False),
        ("a b:1", False),
        ("a:1,", False),
        (":1", False),
        ("\udcff:1", False),
    ],
)
def test_an_address_is_host_and_port(text: str, good: bool) -> None:
    if good:
        assert parse_broker(text) == text
    else:
        with pytest.raises(ValueError, match="is not HOST:PORT"):
            parse_broker(text)


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_odd_paths_and_a_plain_locale_do_not_matter(
    tmp_path: Path, as_csv: Callable[..., str], sound: dict[str, str], locale: str
) -> None:
    folder = tmp_path / os.fsdecode("Zahlungen ä [b] '\x1b[31m\"".encode() + b"\xff")
    folder.mkdir()
    cards = folder / "kärten.csv"
    cards.write_text(as_csv([sound | {"first": "Jürgen"}, sound | {"first": "An\0n"}]), encoding="utf-8")
    producer = Path(__file__).parents[1] / "producer.py"
    env = {**os.environ, "TIEOUT_HOME": str(folder / "home"), "CARD_HASH_KEY": "k", "LC_ALL": locale}
    env.pop("PYTHONUTF8", None)

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, str(producer), "--dry-run", "--total=all", "--mix=1", *words]
        return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)

    refused = run("--kaggle", str(cards))
    assert refused.returncode == 1
    assert b"line 3, column first" in refused.stderr
    for words in (["--json"], []):
        done = run("--kaggle", str(cards), "--max-bad-rows=1", *words)
        assert done.returncode == 0, done.stderr
        assert b"skipped: " in done.stderr
        assert b"Traceback" not in done.stderr
    gone = run("--kaggle", str(folder / "none.csv"))
    assert gone.returncode == 1
    assert b"none.csv cannot be read: No such file" in gone.stderr
    assert b"\x1b" not in gone.stderr
