"""Hashes of before, with the zone of the time in them, become those of today: by the instant."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from own_database import OwnDatabase
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from contracts import rules
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.locks import AdvisoryKey
from warehouse.migrate import MIGRATIONS

pytestmark = pytest.mark.services
FILE = MIGRATIONS / "versions" / "0018_identity_by_instant.py"
ENTITY = load_entity(PAYMENTS)
OF_NOW = (
    f"md5({rules.identity_sql(ENTITY)})::uuid, md5({rules.identity_sql(ENTITY)} || {rules.status_sql(ENTITY)})::uuid"
)
INSTANT = rules._canonical("occurred_at", "timestamp")
OF_BEFORE = OF_NOW.replace(INSTANT, INSTANT[:-1] + ", '/', utc_offset_minutes)")
ROW = {
    "transaction_id": "t1", "customer_id": "c1", "customer_name": "Å", "customer_email": None, "merchant_name": "M",
    "merchant_category": "food", "amount": "12.34", "payment_method": "UPI", "status": "PENDING",
    "failure_reason": None, "occurred_at": datetime(2026, 3, 10, 20, 0, 0, 123456, tzinfo=UTC), "city": "Pune",
    "state": None, "country": "IN", "currency": "INR", "device_type": "web", "ip_address": None, "is_fraud": False,
    "utc_offset_minutes": 330, "status_at": datetime(2026, 3, 10, 20, tzinfo=UTC),
    "known_at": datetime(2026, 3, 10, 21, tzinfo=UTC), "load_id": 1, "topic_id": "topic", "partition": 0,
}  # fmt: skip


def insert(connection: psycopg.Connection[Any], table: str, offset: int, **changes: Any) -> None:
    row = {**ROW, "offset": offset, **changes}
    hashes = connection.execute(
        "select "
        + OF_BEFORE.replace("%", "%%")
        + " from (select %(transaction_id)s::text as transaction_id, "
        + ", ".join(f"%({f.stored_as})s::{f.postgres_type} as {f.stored_as}" for f in ENTITY.fields[1:])
        + ", %(utc_offset_minutes)s::int as utc_offset_minutes) as event",
        {**dict.fromkeys(field.stored_as for field in ENTITY.optional_fields), **row},
    ).fetchone()
    assert hashes is not None
    row |= {"identity_hash": hashes[0], "content_hash": hashes[1]}
    if table == "raw.duplicates":
        kept = ("transaction_id", "status", "amount", "currency", "content_hash", "status_at", "known_at", "load_id",
                "topic_id", "partition", "offset")  # fmt: skip
        row = {name: row[name] for name in kept}
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(f"insert into {table} ({names}) values ({', '.join(['%s'] * len(row))})", list(row.values()))


def migrate_again(database: OwnDatabase) -> None:
    spec = importlib.util.spec_from_file_location("migration", Path(FILE))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn("owner")), poolclass=NullPool
    )
    with (
        engine.connect() as connection,
        connection.begin(),
        Operations.context(MigrationContext.configure(connection)),
    ):
        module.upgrade()


def test_every_stored_hash_is_that_of_today_and_a_settlement_in_another_zone_fits(database: OwnDatabase) -> None:
    with database.connect() as connection:
        connection.execute("insert into metadata.load_audit (status) values ('RUNNING')")
        insert(connection, "raw.transactions", 1)
        insert(connection, "raw.duplicates", 2)
        insert(connection, "raw.rejected_transactions", 3, reasons=["SETTLEMENT_MISMATCH"], status="SUCCESS",
               utc_offset_minutes=0)  # fmt: skip
        connection.execute(
            "insert into live.payments (transaction_id, status, has_pending, amount, currency, customer_id, "
            "merchant_name, merchant_category, payment_method, payment_channel, occurred_at, utc_offset_minutes, "
            'status_at, arrived_at, status_arrived_at, is_fraud, identity_hash, topic_id, partition, "offset") '
            "select transaction_id, status, true, amount, currency, customer_id, merchant_name, merchant_category, "
            "payment_method, 'UPI', occurred_at, utc_offset_minutes, status_at, known_at, known_at, is_fraud, "
            'identity_hash, topic_id, partition, "offset" from raw.transactions'
        )
    migrate_again(database)
    with database.connect() as connection:
        for table in ("raw.transactions", "raw.rejected_transactions"):
            wrong = connection.execute(
                f"select count(*) from {table} where (identity_hash, content_hash) is distinct from ({OF_NOW})"
            ).fetchone()
            assert wrong == (0,), table
        same = connection.execute(
            "select t.content_hash = d.content_hash, t.identity_hash = r.identity_hash, "
            "t.identity_hash = p.identity_hash "
            "from raw.transactions t, raw.duplicates d, raw.rejected_transactions r, live.payments p"
        ).fetchone()
        assert same == (True, True, True)


def test_it_waits_for_nobody_and_changes_nothing_while_a_load_runs(database: OwnDatabase) -> None:
    with database.connect() as connection:
        connection.execute("insert into metadata.load_audit (status) values ('RUNNING')")
        connection.execute("select pg_advisory_lock(%s)", [int(AdvisoryKey.LOADER)])
        with pytest.raises(Exception, match="a load is running"):
            migrate_again(database)
