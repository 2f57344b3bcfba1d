"""A copy is taken while loads pass, is whole or none, and comes back with the same rows, amounts and verdicts."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from control.backup.make import make_backup
from control.backup.manifest import backup_ids, read_manifest, require_whole
from control.backup.restore import restore_backup
from control.backup.unfinished import marker
from control.env import change_env, ensure_env
from control.env import settings as read_settings
from control.roles import dsn, ensure_roles
from control.services.postgres import migrate
from control.start import start_platform
from control.store import Store
from control.testing import Handle
from core.errors import RefusalError, TieoutError
from core.failpoints import VARIABLE
from core.layout import CHECKOUT, Layout
from core.places import LocalPlace
from core.settings import parse_settings
from warehouse.load import run_loads
from warehouse.proof import run_proof

pytestmark = pytest.mark.services

COPY = "file:copies"
# Broker and database run already, for all tests; what comes after is the command's.
RESTORE = """
import json, sys
from pathlib import Path
from control.accounts import choose_accounts
from control.backup import restore
from control.env import settings
from control.processes import Platform
from core.layout import CHECKOUT, Layout
restore.prepare = lambda layout: Platform(layout, choose_accounts(layout), settings(layout))
restore.bring_up_base = lambda platform: platform
print(json.dumps(restore.restore_backup(Layout(CHECKOUT, Path(sys.argv[1])), sys.argv[2])))
"""
BACKUP = """
import os, sys
from pathlib import Path
from control.backup.make import make_backup
from core.layout import CHECKOUT, Layout
os.umask(0o077)
make_backup(Layout(CHECKOUT, Path(sys.argv[1])), sys.argv[2])
"""


@dataclass(frozen=True)
class Home:
    """A home on the shared server with a warehouse and a lake of its own."""

    layout: Layout
    writer: LakeWriter
    warehouse: OwnDatabase

    @property
    def place(self) -> LocalPlace:
        return LocalPlace(self.layout.home / "copies")

    def load(self) -> list[dict[str, Any]]:
        return run_loads(self.warehouse, self.layout, say=lambda _: None)

    def backup(self) -> dict[str, Any]:
        return make_backup(self.layout, COPY)

    def killed(self, moment: str) -> None:
        done = run(BACKUP, self.layout, COPY, moment)
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def run(script: str, layout: Layout, url: str, moment: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", script, str(layout.home), url]
    environment = os.environ | {"TIEOUT_HOME": str(layout.home)} | ({VARIABLE: moment} if moment else {})
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def home_at(folder: Path, env: dict[str, str], database: str) -> Layout:
    layout = Layout(CHECKOUT, folder)
    folder.mkdir()
    ensure_env(layout)
    change_env(layout, {name: value for name, value in env.items() if name.isupper() and name != "TIEOUT_HOME"})
    change_env(layout, {"POSTGRES_DB": database})
    return layout


@pytest.fixture
def home(services: Handle, database: OwnDatabase, tmp_path: Path) -> Home:
    layout = home_at(tmp_path / "here", services.env, database.postgres_db)
    home = Home(layout, LakeWriter(layout), database)
    home.writer.commit(batch(0))
    home.load()
    return home


@pytest.fixture
def elsewhere(services: Handle, tmp_path: Path) -> Iterator[Layout]:
    """An empty home; its warehouse is the platform's own database, the only one that its roles may enter."""
    layout = home_at(tmp_path / "there", services.env, services.env["POSTGRES_DB"])
    yield layout
    values = read_settings(layout)
    with psycopg.connect(dsn(values, "postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute(f"drop database if exists {values['POSTGRES_DB']} with (force)")
    ensure_roles(values)
    migrate(values)


def batch(number: int) -> list[dict[str, Any]]:
    events = [
        payment(
            f"t{number}-{n}",
            "PENDING" if n % 3 else "SUCCESS",
            amount=Decimal(n * 7_919 + 1) / 100,
            currency=("INR", "USD", "EUR")[n % 3],
            run=f"feed-{number}",
            seq=n + 1,
        )
        for n in range(12)
    ]
    return [*events, dead_letter(), payment(f"t{number}-0"), payment("bad", currency="XXX")]


def rows_of(connect: Callable[[], psycopg.Connection[Any]]) -> dict[str, list[str]]:
    """Return every row of silver and of the books as text."""
    with connect() as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('raw', 'metadata')"
            " and tablename not like 'proof%' order by 1"
        ).fetchall()
        return {
            name: [row for (row,) in connection.execute(f"select t::text from {name} t order by 1").fetchall()]
            for (name,) in tables
        }


def verdicts(proof: dict[str, Any]) -> list[Any]:
    lines = [{k: v for k, v in line.items() if k != "proof_id"} for line in proof["equations"]]
    return sorted(json.dumps(line, sort_keys=True) for line in lines)


def test_a_backup_comes_back_with_the_same_rows_amounts_and_verdicts(home: Home, elsewhere: Layout) -> None:
    home.writer.commit(batch(1))
    home.load()
    before, proof = rows_of(home.warehouse.connect), run_proof(True, settings=home.warehouse, layout=home.layout)
    assert len(before["raw.transactions"]) == 24
    assert proof["ok"]
    change_env(home.layout, {"RUN_EVERY_SECONDS": "77", "POSTGRES_PASSWORD_READER": "the-old-readers"})
    done = home.backup()
    ours = read_settings(elsewhere)
    result = run(RESTORE, elsewhere, f"file:{home.place.root}")
    assert result.returncode == 0, result.stderr[-3000:]
    told = json.loads(result.stdout)
    assert told["proof"]["ok"]
    assert told["backup_id"] == done["backup_id"]
    there = read_settings(elsewhere)
    assert rows_of(lambda: psycopg.connect(dsn(there, "postgres"))) == before
    again = run_proof(True, settings=load_settings_of(elsewhere), layout=elsewhere)
    assert set(verdicts(proof)) <= set(verdicts(again))
    more = [json.loads(line) for line in set(verdicts(again)) - set(verdicts(proof))]
    assert {(line["name"], line["left"]["count"], line["verdict"]) for line in more} == {("E1", 0, "OK")}, "new topic"
    assert there["RUN_EVERY_SECONDS"] == "77"
    different = {name for name in ours if ours[name] != there[name]}
    assert different == {"RUN_EVERY_SECONDS"}, "secrets, ports and places stay the home's own"
    assert not marker(elsewhere).exists()
    # Loads go on: the topic is another one by the operator's word, and nothing is read twice.
    loads = run_loads(load_settings_of(elsewhere), elsewhere, say=lambda _: None)
    assert [load["rows_loaded"] for load in loads] == [0]
    with psycopg.connect(dsn(there, "postgres")) as connection:
        reasons = connection.execute("select topic_id, reason from metadata.gone_topics").fetchall()
        owners = connection.execute(
            "select distinct tableowner from pg_tables where schemaname in ('raw', 'metadata')"
        ).fetchall()
    assert reasons == [("sMHcCAVMSGyb_J6xbxrUwA", f"restored from file:{home.place.root}")]
    assert owners == [("owner",)]
    assert run_proof(True, settings=load_settings_of(elsewhere), layout=elsewhere)["ok"]


def load_settings_of(layout: Layout) -> Any:
    return parse_settings(read_settings(layout), layout)


def test_what_a_load_and_a_compaction_do_meanwhile_is_in_the_copy_or_is_loaded_after_it(
    home: Home, elsewhere: Layout, tmp_path: Path
) -> None:
    here = tmp_path / "here-it-is"
    done: list[subprocess.CompletedProcess[str]] = []
    work = threading.Thread(target=lambda: done.append(run(BACKUP, home.layout, COPY, f"backup.after-dump {here}")))
    work.start()
    wait_for(here.exists)
    for number in (1, 2):
        home.writer.commit(batch(number))
    (load,) = home.load()
    assert load["rows_loaded"] == 24, "nobody waits for a backup"
    home.writer.lake.bronze.delta().optimize.compact()
    home.writer.lake.bronze.delta().vacuum(dry_run=False)
    home.writer.commit(batch(3))
    here.unlink()
    work.join()
    assert done[0].returncode == 0, done[0].stderr[-2000:]
    manifest = read_manifest(home.place)
    read = manifest.warehouse["read"]["raw_transactions"]["version"]
    assert manifest.lake["raw_transactions"].version > read
    assert manifest.warehouse["rows"]["raw.transactions"] == 12
    assert manifest.lake["raw_transactions"].contents["ends"] == manifest.lake["dead_letter_queue"].contents["ends"]
    result = run(RESTORE, elsewhere, f"file:{home.place.root}")
    assert result.returncode == 0, result.stderr[-3000:]
    loads = run_loads(load_settings_of(elsewhere), elsewhere, say=lambda _: None)
    assert sum(load["rows_loaded"] for load in loads) == 36
    assert run_proof(True, settings=load_settings_of(elsewhere), layout=elsewhere)["ok"]


def wait_for(is_so: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "moment",
    [
        "backup.before-file:3",
        "backup.before-manifest",
        pytest.param("backup.after-dump", marks=pytest.mark.slow),
        pytest.param("backup.before-lake:2", marks=pytest.mark.slow),
    ],
)
def test_a_killed_backup_is_none_and_the_next_one_is_whole(home: Home, moment: str) -> None:
    first = home.backup()["backup_id"]
    home.writer.commit(batch(1))
    home.load()
    home.killed(moment)
    assert backup_ids(home.place) == [first]
    assert len(home.place.names("warehouse")) == 2
    second = home.backup()["backup_id"]
    assert backup_ids(home.place) == sorted([first, second])
    assert home.place.names("warehouse") == sorted([f"{first}.dump", f"{second}.dump"]), "what was cut short is gone"
    for backup_id in (first, second):
        require_whole(home.place, read_manifest(home.place, backup_id))


def test_what_is_there_already_is_not_copied_again_and_what_is_damaged_is(home: Home) -> None:
    home.backup()
    before = {path: path.stat().st_mtime_ns for path in (home.place.root / "files").rglob("*") if path.is_file()}
    assert len(before) == 4, "a file and a commit of each table"
    home.writer.commit(batch(1))
    ill = next(path for path in before if path.stat().st_size > 2_000)
    content = ill.read_bytes()
    ill.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(ill, ns=(0, 0))
    home.backup()
    assert ill.read_bytes() == content
    after = {path: path.stat().st_mtime_ns for path in (home.place.root / "files").rglob("*") if path.is_file()}
    assert {path for path in before if after[path] != before[path]} == {ill}
    assert len(after) == 8
    require_whole(home.place, read_manifest(home.place))


def test_nobody_else_can_read_a_backup(home: Home) -> None:
    done = run(BACKUP, home.layout, COPY)
    assert done.returncode == 0, done.stderr
    found = [home.place.root, *home.place.root.rglob("*")]
    assert len(found) > 10
    assert {oct(path.stat().st_mode & 0o777) for path in found} == {"0o700", "0o600"}
    text = (home.place.root / "backups" / home.place.names("backups")[0]).read_text()
    secret = {v for n, v in read_settings(home.layout).items() if "PASSWORD" in n or "KEY" in n or "TOKEN" in n}
    assert len(secret) > 10
    assert not [value for value in secret if value in text]


def damage(home: Home, what: str) -> None:
    root = home.place.root
    (manifest,) = (root / "backups").iterdir()
    data = max((root / "files").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    (dump,) = (root / "warehouse").iterdir()
    if what == "no manifest":
        manifest.unlink()
    elif what == "a file is missing":
        data.unlink()
    else:
        ill = {"the manifest": manifest, "a file": data, "the dump": dump}[what]
        content = ill.read_bytes()
        middle = len(content) // 2
        ill.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no manifest", "there is no backup"),
        ("a file is missing", "is missing"),
        ("the manifest", "its manifest cannot be read"),
        ("a file", "is not what it was"),
        ("the dump", "is not what it was"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_written(
    home: Home, tmp_path: Path, services: Handle, what: str, words: str
) -> None:
    home.backup()
    damage(home, what)
    empty = home_at(tmp_path / "there", services.env, "nobody_asks")
    before = {path: path.read_bytes() for path in empty.home.rglob("*") if path.is_file()}
    with pytest.raises(TieoutError, match=words) as refusal:
        restore_backup(empty, f"file:{home.place.root}")
    assert "nothing was written" in refusal.value.left
    after = {path: path.read_bytes() for path in empty.home.rglob("*") if path.is_file()}
    assert after == before | {empty.state / "start.lock": b""} or after == before


def test_a_home_with_payments_is_refused_and_loses_nothing(home: Home, elsewhere: Layout) -> None:
    home.backup()
    before = rows_of(home.warehouse.connect)
    with pytest.raises(TieoutError, match="this home is not empty: there is a table"):
        restore_backup(home.layout, COPY)
    for table in home.writer.lake.tables:
        table.remove()
    done = run(RESTORE, home.layout, COPY)
    assert "this home is not empty: the warehouse has loads" in done.stderr
    assert rows_of(home.warehouse.connect) == before
    assert not marker(home.layout).exists()


@pytest.mark.parametrize(
    "moment",
    [
        "restore.before-log:2",
        pytest.param("restore.after-warehouse", marks=pytest.mark.slow),
        pytest.param("restore.before-proof", marks=pytest.mark.slow),
    ],
)
def test_a_killed_restore_is_refused_to_start_and_the_same_command_ends_it(
    home: Home, elsewhere: Layout, moment: str
) -> None:
    home.backup()
    before = rows_of(home.warehouse.connect)
    url = f"file:{home.place.root}"
    killed = run(RESTORE, elsewhere, url, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    with pytest.raises(RefusalError, match="a restore of this home was cut short") as refusal:
        start_platform(elsewhere, demo=False)
    assert f"./scripts/tieout restore --from {url}" in refusal.value.next
    result = run(RESTORE, elsewhere, url)
    assert result.returncode == 0, result.stderr[-3000:]
    assert json.loads(result.stdout)["proof"]["ok"]
    assert rows_of(lambda: psycopg.connect(dsn(read_settings(elsewhere), "postgres"))) == before


@pytest.mark.slow
def test_a_backup_in_a_store_comes_back_too(home: Home, elsewhere: Layout, store: Store) -> None:
    url = f"s3://lake/{uuid4().hex}"
    keys = {name: value for name, value in store.settings.items() if name != "LAKE_URL"}
    for layout in (home.layout, elsewhere):
        change_env(layout, keys)
    make_backup(home.layout, url)
    result = run(RESTORE, elsewhere, url)
    assert result.returncode == 0, result.stderr[-3000:]
    assert json.loads(result.stdout)["proof"]["ok"]
    assert rows_of(lambda: psycopg.connect(dsn(read_settings(elsewhere), "postgres"))) == rows_of(
        home.warehouse.connect
    )
