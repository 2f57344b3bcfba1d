"""A database of the tests' own with payments that are known: silver is written here, the marts by a real build."""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from control.accounts import as_user, choose_accounts, ensure_accounts
from control.env import change_env, ensure_env, settings
from control.roles import dsn, ensure_roles, wait_for_postgres
from control.services.postgres import prepare_postgres, server_command
from control.testing import free_ports, temporary_home
from core.layout import find_layout
from core.settings import Settings
from transformation.build import run_build
from warehouse.migrate import let_reader_read_marts, migrate

PAYMENTS = Path(__file__).with_name("payments.sql").read_text(encoding="utf-8")
BOOKS = Path(__file__).with_name("books.sql").read_text(encoding="utf-8")
FLOW = Path(__file__).with_name("live.sql").read_text(encoding="utf-8")
SMALL = {"payments": 6000, "days": 45, "towns": 1, "customers": 40, "merchants": 25}
TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True)
class Filled:
    """A warehouse with payments in its marts."""

    env: dict[str, str] = field(repr=False)

    def sql(self, query: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return what the database itself says, past every part of the dashboard."""
        with psycopg.connect(dsn(self.env, "postgres"), autocommit=True, row_factory=dict_row) as db:
            cursor = db.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def script(self, text: str) -> None:
        """Run statements one after the other, all or none."""
        with psycopg.connect(dsn(self.env, "postgres")) as db:
            db.execute(text)

    def settings(self, **changed: Any) -> Settings:
        """Return the dashboard's settings for this warehouse."""
        return Settings(
            postgres_host=self.env["POSTGRES_HOST"],
            postgres_port=int(self.env["POSTGRES_PORT"]),
            postgres_db=self.env["POSTGRES_DB"],
            postgres_password_reader=self.env["POSTGRES_PASSWORD_READER"],
            dashboard_token=TOKEN,
            **changed,
        )


@contextmanager
def own_warehouse() -> Iterator[Filled]:
    """Yield a migrated database on a server of its own, without a broker beside it; its roles log in for themselves."""
    with temporary_home() as home:
        layout = find_layout({"TIEOUT_HOME": str(home)})
        ensure_env(layout)
        change_env(layout, {"POSTGRES_PORT": str(free_ports(1)[0])})
        env = {**settings(layout, {}), "TIEOUT_HOME": str(home)}
        accounts = choose_accounts(layout)
        ensure_accounts(accounts)
        prepare_postgres(accounts, env)
        with (home / "postgres.log").open("wb") as log:
            server = subprocess.Popen(  # type: ignore[call-overload]
                server_command(accounts, env), cwd="/", stdout=log, stderr=log, **as_user(accounts.postgres)
            )
            try:
                wait_for_postgres(env)
                ensure_roles(env)
                migrate(dsn(env, "owner"))
                let_reader_read_marts(dsn(env, "dbt"))
                yield Filled(env)
            finally:
                server.send_signal(signal.SIGINT)  # TERM would wait until every page has hung up
                server.wait(60)


def fill(database: Filled, size: Mapping[str, int]) -> dict[str, Any]:
    """Load payments, those with the numbers from `first` on, and build the marts; return the build's report."""
    load = database.sql("insert into metadata.load_audit (status) values ('RUNNING') returning load_id")[0]["load_id"]
    database.sql(PAYMENTS, {"first": 1, **size, "newest": datetime(2026, 3, 31, 18, tzinfo=UTC), "load": load})
    database.sql(
        "with loaded as (select count(*) as n from raw.transactions where load_id = %(load)s)"
        " update metadata.load_audit set status = 'SUCCESS', finished_at = clock_timestamp(), seconds = 1.5,"
        " rows_expected = n, rows_read = n, rows_loaded = n, duplicates = 0, rejected = 0, already_loaded = 0,"
        " dead_letters_expected = 0, dead_letters_read = 0, dead_letters = 0 from loaded"
        " where load_id = %(load)s",
        {"load": load},
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in database.env.items():
            patch.setenv(name, value)
        return run_build(False)


def fill_books(database: Filled) -> None:
    """Write what operations would see after a working night, beside the payments."""
    database.script(BOOKS)


def fill_flow(database: Filled) -> None:
    """Write the live view up to this second, in balance with the marts."""
    database.script(FLOW)
