"""Looking inside: psql as the reader, and the services' logs."""

import os
import shutil
from typing import NoReturn

from control.accounts import choose_accounts
from control.env import settings
from control.postgres import program
from core.errors import TieoutError
from core.layout import Layout


def open_sql(layout: Layout, query: str | None, *, csv: bool, tuples_only: bool) -> NoReturn:
    """Become psql, connected as the reader.

    Raises:
        TieoutError: the platform was never started here.
    """
    values = settings(layout)
    psql = program(choose_accounts(layout), "psql")
    if not psql.exists():
        raise TieoutError(f"there is no warehouse at {layout.home} yet.", "nothing was changed.", "./scripts/start.sh")
    command = [str(psql), "--no-psqlrc", "--pset=pager=off", "--set=ON_ERROR_STOP=1"]
    command += ["--csv"] if csv else []
    command += ["--tuples-only", "--no-align"] if tuples_only else []
    command += ["--command", query] if query else []
    environment = {
        **os.environ,
        "PGHOST": values["POSTGRES_HOST"],
        "PGPORT": values["POSTGRES_PORT"],
        "PGDATABASE": values["POSTGRES_DB"],
        "PGUSER": "reader",
        "PGPASSWORD": values["POSTGRES_PASSWORD_READER"],
        "PGAPPNAME": "tieout sql",
        "PGCONNECT_TIMEOUT": "5",
    }
    os.execve(psql, command, environment)  # noqa: S606 - no shell is the point


def show_log(layout: Layout, name: str, *, lines: int, follow: bool) -> NoReturn:
    """Become tail on a service's log.

    Raises:
        TieoutError: there is no log of that name.
    """
    if layout.logs.exists():
        next(layout.logs.iterdir(), None)  # raises for another account's: a search would find nothing without a word
    known = {path.stem: path for path in sorted(layout.logs.rglob("*.log"))} if layout.logs.exists() else {}
    if name not in known:
        there = f"there are {', '.join(known)}" if known else "there are none yet"
        what = f"there is no log of {name} in {layout.logs}; {there}."
        raise TieoutError(what, "nothing was changed.", "./scripts/start.sh")
    tail = shutil.which("tail") or "/usr/bin/tail"
    os.execv(tail, [tail, "-n", str(lines), *(["-F"] if follow else []), str(known[name])])  # noqa: S606
