"""A database of its own for the marts: silver is written by the tests, everything behind it by real builds."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from control.accounts import as_user, choose_accounts, ensure_accounts
from control.env import change_env, ensure_env, settings
from control.roles import dsn, ensure_roles, wait_for_postgres
from control.services.postgres import prepare_postgres, server_command
from control.testing import free_ports, temporary_home
from core.layout import Layout, find_layout
from transformation.build import run_build
from transformation.dbt_process import dbt_program, environment, folders
from warehouse.migrate import let_reader_read_marts, migrate

MARTS = (
    ("staging", "stg_transactions"),
    ("staging", "stg_merchants"),
    ("intermediate", "int_transactions_enriched"),
    ("intermediate", "int_customer_cities"),
    ("intermediate", "int_customer_given_segments"),
    ("intermediate", "int_customers"),
    ("intermediate", "int_customer_segments"),
    ("marts", "fact_transactions"),
    ("marts", "dim_customers"),
    ("marts", "customer_lifetime"),
    ("marts", "dim_merchants"),
    ("marts", "dim_dates"),
    ("marts", "dim_channels"),
    ("marts", "dim_cities"),
    ("marts", "daily_revenue_totals"),
    ("marts", "daily_revenue_summary"),
    ("marts", "daily_region_totals"),
    ("marts", "daily_city_totals"),
    ("marts", "daily_hour_totals"),
    ("marts", "daily_merchant_totals"),
    ("marts", "daily_segment_totals"),
    ("marts", "daily_processing_totals"),
    ("marts", "daily_processing_summary"),
    ("staging", "stg_refunds"),
    ("marts", "fact_refunds"),
    ("marts", "daily_refund_totals"),
    ("marts", "refund_exceptions"),
)


def make_payment(transaction_id: str, status: str = "SUCCESS", **fields: Any) -> dict[str, Any]:
    """Return a row of silver; what a test does not care about is filled in."""
    occurred_at = fields.get("occurred_at", datetime(2026, 3, 10, 12, tzinfo=UTC))
    row = {
        "transaction_id": transaction_id,
        "status": status,
        "customer_id": "customer-1",
        "merchant_name": "Chai Point",
        "merchant_category": "food",
        "amount": "100.00",
        "currency": "INR",
        "payment_method": "Wallet",
        "failure_reason": "DECLINED" if status == "FAILED" else None,
        "occurred_at": occurred_at,
        "utc_offset_minutes": 0,
        "status_at": occurred_at,
        "known_at": occurred_at + timedelta(minutes=1),
        "city": "Pune",
        "state": "Maharashtra",
        "country": "IN",
        "is_fraud": False,
    }
    return {**row, **fields}


def make_refund(refund_id: str, transaction_id: str, status: str = "SUCCESS", **fields: Any) -> dict[str, Any]:
    """Return a row of silver's refunds; what a test does not care about is filled in."""
    occurred_at = fields.get("occurred_at", datetime(2026, 3, 12, 12, tzinfo=UTC))
    row = {
        "refund_id": refund_id,
        "transaction_id": transaction_id,
        "status": status,
        "amount": "40.00",
        "currency": "INR",
        "reason": "DAMAGED",
        "customer_id": "customer-1",
        "merchant_name": "Chai Point",
        "occurred_at": occurred_at,
        "utc_offset_minutes": 0,
        "status_at": occurred_at,
        "known_at": occurred_at + timedelta(minutes=1),
    }
    return {**row, **fields}


@dataclass
class Marts:
    """Silver to write, builds to run, marts to read."""

    layout: Layout
    env: dict[str, str]
    offsets: int = field(default=0)

    def connect(self, role: str = "postgres") -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(dsn(self.env, role), autocommit=True, row_factory=dict_row)

    def sql(self, query: str, role: str = "postgres") -> list[dict[str, Any]]:
        with self.connect(role) as db:
            return db.execute(query).fetchall()

    def load(self, rows: Sequence[dict[str, Any]], status: str = "SUCCESS", entity: str = "transactions") -> int:
        """Write a load: its audit row and its rows of silver, as the loader does."""
        with psycopg.connect(dsn(self.env, "postgres"), row_factory=dict_row) as db:
            audit = db.execute(
                "insert into metadata.load_audit (status, entity) values ('RUNNING', %s) returning load_id", [entity]
            ).fetchone()
            assert audit is not None
            for row in rows:
                self.offsets += 1
                full = {**row, "load_id": audit["load_id"], "offset": self.offsets}
                full |= {"topic_id": "topic", "partition": 0}
                full |= dict.fromkeys(("content_hash", "identity_hash"), "5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11")
                names = sql.SQL(", ").join(map(sql.Identifier, full))
                places = sql.SQL(", ").join(map(sql.Placeholder, full))
                table = sql.Identifier("raw", entity)
                db.execute(sql.SQL("insert into {} ({}) values ({})").format(table, names, places), full)
            if status == "SUCCESS":
                db.execute(
                    "update metadata.load_audit set status = 'SUCCESS', finished_at = clock_timestamp(), seconds = 0,"
                    " rows_expected = %(n)s, rows_read = %(n)s, rows_loaded = %(n)s, duplicates = 0, rejected = 0,"
                    " already_loaded = 0, dead_letters_expected = 0, dead_letters_read = 0, dead_letters = 0"
                    " where load_id = %(load)s",
                    {"n": len(rows), "load": audit["load_id"]},
                )
        return int(audit["load_id"])

    def build(self, full_refresh: bool = False) -> dict[str, Any]:
        return run_build(full_refresh)

    def remember(self) -> None:
        """Keep a copy of every mart as it is now."""
        self.sql_only("drop schema if exists remembered cascade", "create schema remembered")
        self.sql_only(*(f"create table remembered.{name} as select * from {schema}.{name}" for schema, name in MARTS))

    def sql_only(self, *statements: str) -> None:
        with self.connect() as db:
            for statement in statements:
                db.execute(statement)

    def differences(self) -> dict[str, int]:
        """Return how many rows of each mart differ from the remembered copy, both ways, where any do."""
        found = {}
        with self.connect() as db:
            for schema, name in MARTS:
                now, then = f"{schema}.{name}", f"remembered.{name}"
                row = db.execute(
                    f"select count(*) as n from ((select * from {now} except all select * from {then})"
                    f" union all (select * from {then} except all select * from {now})) as d"
                ).fetchone()
                if row is not None and row["n"]:
                    found[name] = row["n"]
        return found


@pytest.fixture(scope="session")
def database() -> Iterator[Marts]:
    """PostgreSQL of its own, without a broker beside it."""
    with temporary_home() as home:
        layout = find_layout({"TIEOUT_HOME": str(home)})
        ensure_env(layout)
        change_env(layout, {"POSTGRES_PORT": str(free_ports(1)[0])})
        env = {**settings(layout, {}), "TIEOUT_HOME": str(home)}
        accounts = choose_accounts(layout)
        ensure_accounts(accounts)
        prepare_postgres(accounts, env)
        log = (home / "postgres.log").open("wb")
        server = subprocess.Popen(  # type: ignore[call-overload]
            server_command(accounts, env), cwd="/", stdout=log, stderr=log, **as_user(accounts.postgres)
        )
        try:
            wait_for_postgres(env)
            yield Marts(layout, env)
        finally:
            server.terminate()
            server.wait(30)
            log.close()


@pytest.fixture
def marts(database: Marts, monkeypatch: pytest.MonkeyPatch) -> Marts:
    """An empty warehouse, migrated."""
    for name, value in database.env.items():
        monkeypatch.setenv(name, value)
    with psycopg.connect(dsn(database.env, "postgres", "postgres"), autocommit=True) as db:
        db.execute("drop database if exists payments with (force)")
    ensure_roles(database.env)
    migrate(dsn(database.env, "owner"))
    let_reader_read_marts(dsn(database.env, "dbt"))
    return Marts(database.layout, database.env)


@pytest.fixture(scope="session")
def project() -> Path:
    """The dbt project's folder."""
    return find_layout().checkout / "transformation"


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The parsed project; parsing asks no database."""
    layout, target = find_layout(), tmp_path_factory.mktemp("target")
    command = [dbt_program(layout), "parse", *folders(layout, target, target)]
    subprocess.run(command, check=True, capture_output=True, env=environment(os.environ))
    parsed: dict[str, Any] = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    return parsed


@pytest.fixture(scope="session")
def refund() -> Callable[..., dict[str, Any]]:
    """Makes a row of silver's refunds."""
    return make_refund


@pytest.fixture(scope="session")
def payment() -> Callable[..., dict[str, Any]]:
    """Makes a row of silver."""
    return make_payment
