"""A process that slept through a migration writes nothing afterwards, and a migration waits for nobody who writes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from lake_writer import LakeWriter, payment
from own_database import OwnDatabase, own_database

from control import rounds
from control.testing import Handle
from core.errors import OutageError
from core.layout import Layout
from core.locks import AdvisoryKey
from core.schema_revision import REVISION, SchemaChangedError
from warehouse.dlq.books import only_decider
from warehouse.load import run_loads
from warehouse.migrate import MIGRATIONS, WRITERS, migrate
from warehouse.proof import run_proof

Query = Callable[..., list[tuple[Any, ...]]]
services = pytest.mark.services


def scripts() -> dict[str, str]:
    """Return each revision and the one before it, newest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return {each.revision: str(each.down_revision) for each in ScriptDirectory.from_config(config).walk_revisions()}


SCRIPTS = scripts()


def test_the_revision_is_that_of_the_newest_migration() -> None:
    assert next(iter(SCRIPTS)) == REVISION


@pytest.fixture
def migrated_since(database: OwnDatabase, query: Query) -> Iterator[OwnDatabase]:
    """A warehouse that another version's code has migrated since this process began."""
    query("update metadata.alembic_version set version_num = '9999'")
    yield database
    query("update metadata.alembic_version set version_num = %s", REVISION)


@services
def test_a_load_a_proof_and_a_redrive_of_before_write_nothing(
    migrated_since: OwnDatabase, layout: Layout, lake: LakeWriter, query: Query
) -> None:
    lake.commit([payment("a")])
    with pytest.raises(SchemaChangedError, match=f"has the schema 9999, and this process was written for {REVISION}"):
        run_loads(migrated_since, layout, say=lambda _: None)
    with pytest.raises(SchemaChangedError):
        run_proof(settings=migrated_since, layout=layout)
    with migrated_since.connect("redrive") as redrive, pytest.raises(SchemaChangedError), only_decider(redrive):
        pytest.fail("it decides")
    written = "select (select count(*) from metadata.load_audit) + (select count(*) from metadata.proof)"
    assert query(written) == [(0,)]


@services
def test_what_the_roles_that_write_ask_they_may_ask(migrated_since: OwnDatabase) -> None:
    for role in ("loader", "dbt", "live", "redrive"):
        with migrated_since.connect(role) as connection:
            assert connection.execute("select version_num from metadata.alembic_version").fetchone() == ("9999",)


def test_rounds_that_repeat_end_so_that_they_begin_again_with_the_code_of_now(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_: Any, **__: Any) -> rounds.Outcome:
        return rounds.Outcome(errors={"load": SchemaChangedError("another schema.", "nothing was written.", "again")})

    monkeypatch.setattr(rounds, "run_round", changed)
    monkeypatch.setattr(rounds.signal, "signal", lambda *_: None)
    with pytest.raises(SchemaChangedError, match="another schema"):
        rounds.follow_rounds(layout, {"RUN_EVERY_SECONDS": "1"}, service_runs=False)


@pytest.fixture
def before(services: Handle, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnDatabase]:
    """A warehouse as it was before the newest migration."""
    upgrade, stack = command.upgrade, ExitStack()
    with monkeypatch.context() as older:
        older.setattr("warehouse.migrate.command.upgrade", lambda config, _: upgrade(config, SCRIPTS[REVISION]))
        database = stack.enter_context(own_database(services.env))
    with stack:
        yield database


def revision(database: OwnDatabase) -> str:
    with database.connect() as reader:
        return str(reader.execute("select version_num from metadata.alembic_version").fetchall()[0][0])


@services
@pytest.mark.parametrize("key", WRITERS)
def test_a_migration_refuses_while_somebody_writes_and_goes_on_afterwards(
    before: OwnDatabase, key: AdvisoryKey
) -> None:
    assert revision(before) == SCRIPTS[REVISION]
    with before.connect("loader") as writer:
        writer.execute("select pg_advisory_lock(%s)", [int(key)])
        with pytest.raises(OutageError, match="are at work on what is to be migrated: role postgres"):
            migrate(before.dsn("owner"))
        assert revision(before) == SCRIPTS[REVISION]
    migrate(before.dsn("owner"))
    assert revision(before) == REVISION


@services
def test_nobody_begins_to_write_while_a_migration_is_under_way(
    before: OwnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[bool] = []

    def look(_config: Any, _to: str) -> None:
        with before.connect("loader") as writer:
            for key in WRITERS:
                row = writer.execute("select pg_try_advisory_lock(%s)", [int(key)]).fetchone()
                free.append(bool(row and row[0]))

    monkeypatch.setattr("warehouse.migrate.command.upgrade", look)
    migrate(before.dsn("owner"))
    assert free == [False] * len(WRITERS)
