"""Each role can do its work and nothing more; migrations can be run by two at once, and again."""

import threading
from typing import Any

import psycopg
import pytest
from own_database import OwnDatabase, own_database
from pydantic import SecretStr

from control.testing import Handle
from core.errors import OutageError, TieoutError
from core.locks import AdvisoryKey
from core.settings import Settings
from warehouse import migrate as migration
from warehouse.migrate import migrate

pytestmark = pytest.mark.services

REFUSED = {
    "loader": [
        "update raw.transactions set amount = 1",
        "delete from raw.transactions",
        "truncate raw.transactions",
        "delete from raw.rejected_transactions",
        "update raw.dead_letters set load_id = 1",
        "delete from metadata.load_audit",
        "update metadata.load_totals set count = 0",
        "delete from metadata.load_watermark",
        "insert into metadata.processed_loads values (1, gen_random_uuid(), now())",
        "insert into metadata.proof values (gen_random_uuid(), now(), 'E1', '{}', null, 0, null, 0, null, 'OK')",
        "insert into metadata.explained_offsets select * from metadata.explained_offsets",
        "update metadata.missing_offsets set partition = 1",
        "create table raw.mine ()",
        "create table public.mine ()",
        "create schema mine",
        "create table marts.mine ()",
        "select * from raw.redrive_payloads",
        "insert into metadata.letter_decisions select * from metadata.letter_decisions",
    ],
    "dbt": [
        "insert into raw.duplicates select * from raw.duplicates",
        "update raw.transactions set amount = 1",
        "delete from raw.transactions",
        "update metadata.load_audit set status = 'SUCCESS'",
        "delete from metadata.proof",
        "update metadata.load_totals set count = 0",
        "insert into metadata.missing_offsets select * from metadata.missing_offsets",
        "delete from metadata.explained_offsets",
        "create table raw.mine ()",
        "create table metadata.mine ()",
        "create table public.mine ()",
        "create schema mine",
        "select * from raw.redrive_payloads",
        "insert into metadata.letter_decisions select * from metadata.letter_decisions",
    ],
    "reader": [
        "select * from raw.redrive_payloads",
        "select * from raw.dead_letters",
        "insert into metadata.letter_decisions select * from metadata.letter_decisions",
        "select * from raw.transactions",
        "select * from raw.rejected_transactions",
        "create table marts.mine ()",
        "create temporary table mine ()",
        "delete from metadata.proof",
        "insert into metadata.load_watermark select * from metadata.load_watermark",
        "delete from live.alerts",
        "create schema mine",
    ],
    "redrive": [
        "select * from raw.transactions",
        "select amount, currency from raw.transactions",
        "select conflict from raw.rejected_transactions",
        "select * from raw.dead_letters",
        "select * from raw.rejected_transactions",
        "insert into raw.transactions select * from raw.transactions",
        "insert into metadata.load_watermark select * from metadata.load_watermark",
        "update metadata.letter_decisions set decision = 'WRITTEN_OFF'",
        "delete from metadata.letter_decisions",
        "update metadata.redrive_feeds set run = 'other'",
        "update raw.redrive_payloads set value = null",
        "delete from metadata.unmask_log",
        "update metadata.unmask_log set asked_by = 'somebody else'",
        "create table metadata.mine ()",
        "create schema mine",
    ],
    "live": [
        "select * from raw.transactions",
        "select customer_name from raw.transactions",
        "select customer_email from raw.transactions",
        "select ip_address from raw.transactions",
        "select * from raw.rejected_transactions",
        "select * from raw.dead_letters",
        "insert into raw.transactions select * from raw.transactions",
        "update metadata.builds set status = 'FAILED'",
        "create table live.mine ()",
        "create schema mine",
    ],
    "airflow": ["select * from metadata.load_audit", "select * from raw.transactions", "create schema mine"],
}
ALLOWED = {
    "loader": [
        "select * from raw.transactions",
        "insert into raw.duplicates select * from raw.duplicates",
        "update metadata.load_audit set status = 'FAILED', error_code = 'X' where false",
        "create temporary table mine ()",
    ],
    "dbt": [
        "select * from raw.transactions",
        "select * from metadata.load_audit",
        "create view staging.mine as select 1 as x",
        "create table intermediate.mine ()",
        "create table marts.mine ()",
        "insert into metadata.proof values (gen_random_uuid(), now(), 'E1', '{}', null, 0, null, 0, null, 'OK')",
    ],
    "reader": [
        "select * from metadata.load_audit",
        "select * from metadata.proof",
        "select * from metadata.offsets_without_event",
        "select * from marts.shown",
        "select * from metadata.dead_letter_book",
        "select * from live.payments",
        "select * from live.drift",
    ],
    "live": [
        'select transaction_id, identity_hash, status, topic_id, partition, "offset" from raw.transactions',
        "select topic_id, redrive_of from raw.rejected_transactions",
        "select * from marts.shown",
        "select * from metadata.consumer_watermarks",
        "delete from live.payments",
    ],
    "redrive": [
        "select * from metadata.dead_letter_book",
        "select * from metadata.letter_decisions",
        "insert into metadata.unmask_log (asked_by, command, book, selection, letters) values ('a', 'show', '', '', 1)",
        "update metadata.letter_decisions set confirmed_at = now() where false",
        "delete from raw.redrive_payloads",
        "select transaction_id, status, content_hash, identity_hash, topic_id, redrive_of from raw.transactions",
        "select content_hash, topic_id, redrive_of from raw.rejected_transactions",
        "create temporary table mine ()",
    ],
}


@pytest.mark.parametrize(("role", "statement"), [(r, s) for r, listed in REFUSED.items() for s in listed])
def test_a_role_is_refused_what_is_not_its_work(database: OwnDatabase, role: str, statement: str) -> None:
    with database.connect("dbt") as dbt:
        dbt.execute("create table if not exists marts.shown ()")
    with database.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(("role", "statement"), [(r, s) for r, listed in ALLOWED.items() for s in listed])
def test_a_role_can_do_its_work(database: OwnDatabase, role: str, statement: str) -> None:
    with database.connect("dbt") as dbt:
        dbt.execute("create table if not exists marts.shown ()")
    with database.connect(role) as connection, connection.transaction(force_rollback=True):
        connection.execute(statement)


def test_a_role_enters_with_its_password_only(services: Handle) -> None:
    settings: dict[str, Any] = {name.lower(): value for name, value in services.env.items()}
    names = ("postgres_host", "postgres_port", "postgres_db", "postgres_password_loader")
    right = Settings(**{name: settings[name] for name in names})
    with psycopg.connect(right.dsn("loader")) as connection:
        assert connection.execute("select current_user").fetchone() == ("loader",)
    wrong = right.model_copy(update={"postgres_password_loader": SecretStr("wrong")})
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong.dsn("loader"))


def test_two_migrations_at_once_and_a_third_give_one_schema(services: Handle) -> None:
    with own_database(services.env) as database:
        with database.connect() as connection:
            connection.execute("drop schema raw, metadata, staging, intermediate, marts, live, patterns cascade")
        failures: list[Exception] = []

        def run() -> None:
            try:
                migrate(database.dsn("owner"))
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        migrate(database.dsn("owner"))
        assert failures == []
        with database.connect("dbt") as connection:
            assert connection.execute("select count(*) from raw.transactions").fetchone() == (0,)


def test_a_migration_waits_with_a_limit_and_names_who_holds_the_lock(
    services: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "LOCK_WAIT_SECONDS", 0.3)
    with own_database(services.env) as database:
        with database.connect("loader") as other:
            other.execute("select pg_advisory_lock(%s)", [int(AdvisoryKey.MIGRATION)])
            with pytest.raises(OutageError, match="another migration is running: role postgres, server process"):
                migrate(database.dsn("owner"))
        migrate(database.dsn("owner"))


def test_the_reader_cannot_hold_what_others_wait_for(services: Handle) -> None:
    with own_database(services.env) as database, database.connect("reader") as reader:
        for name in ("pg_advisory_lock", "pg_try_advisory_lock_shared", "pg_advisory_xact_lock"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"select {name}(%s)".encode(), [int(AdvisoryKey.LOADER)])


def test_a_migration_without_database_gives_one_clear_error() -> None:
    with pytest.raises(TieoutError, match=r"cannot be reached.*refused"):
        migrate("host=127.0.0.1 port=1 user=owner dbname=payments")
