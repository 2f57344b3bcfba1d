"""Looking inside: psql as the reader, and the services' logs."""

import os
import re
import shutil
import subprocess
import sys
from typing import NoReturn

from control.accounts import choose_accounts
from control.env import settings
from control.postgres import program
from core.errors import TieoutError
from core.layout import Layout
from core.text import shown_lines

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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
    """Print the end of a service's log, each line as text.

    Raises:
        TieoutError: there is no log of that name.
    """
    known = {path.stem: path for path in sorted(layout.logs.rglob("*.log"))} if layout.logs.exists() else {}
    if name not in known:
        there = f"there are {', '.join(known)}" if known else "there are none yet"
        what = f"there is no log of {name} in {layout.logs}; {there}."
        raise TieoutError(what, "nothing was changed.", "./scripts/start.sh")
    tail = shutil.which("tail") or "/usr/bin/tail"
    command = [tail, "-n", str(lines), *(["-F"] if follow else []), "--", str(known[name])]
    # Not tail itself: a log may quote what somebody sent, and the terminal would obey it.
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="backslashreplace") as reading:
        assert reading.stdout is not None  # noqa: S101  # a pipe was asked for
        for line in reading.stdout:
            sys.stdout.write(shown_lines(_COLOUR.sub("", line)))
            sys.stdout.flush()
    sys.exit(reading.returncode)
