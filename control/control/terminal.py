"""Looking inside: psql as the reader, and the services' logs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from control.accounts import choose_accounts
from control.env import settings
from control.services.postgres import client_program, is_elsewhere, program
from core.errors import TieoutError
from core.layout import Layout
from core.postgres_login import PostgresTls
from core.text import shown_lines

# Linux takes no longer word of a command.
LONGEST_QUERY = 120_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def open_sql(layout: Layout, query: str | None, *, csv: bool, tuples_only: bool) -> NoReturn:
    """Become psql, connected as the reader.

    Statements go to psql as one command: then it sends them as they are, and runs no command of its own out of them.

    Raises:
        TieoutError: the platform was never started here, or standard input is too long or no text.
    """
    values = settings(layout)
    psql = Path(client_program("psql", values))
    if not is_elsewhere(values) and not program(choose_accounts(layout), "psql").exists():
        raise TieoutError(f"there is no warehouse at {layout.home} yet.", "nothing was changed.", "./scripts/start.sh")
    command = [str(psql), "--no-psqlrc", "--pset=pager=off", "--set=ON_ERROR_STOP=1"]
    command += ["--csv"] if csv else []
    command += ["--tuples-only", "--no-align"] if tuples_only else []
    if query is None and not sys.stdin.isatty():
        query = _statements(sys.stdin.buffer.read(LONGEST_QUERY + 1))
    command += ["--command", query] if query is not None else []
    environment = {
        **os.environ,
        "PGHOST": values["POSTGRES_HOST"],
        "PGPORT": values["POSTGRES_PORT"],
        "PGDATABASE": values["POSTGRES_DB"],
        "PGUSER": "reader",
        "PGPASSWORD": values["POSTGRES_PASSWORD_READER"],
        "PGAPPNAME": "tieout sql",
        "PGCONNECT_TIMEOUT": "5",
        **PostgresTls.of(values).environment("reader"),
    }
    os.execve(psql, command, environment)  # noqa: S606 - no shell is the point


def _statements(read: bytes) -> str:
    try:
        text = read.decode("utf-8-sig")
    except UnicodeError:
        text = "\0"
    if len(read) > LONGEST_QUERY or "\0" in text:
        what = f"standard input is longer than {LONGEST_QUERY:,} bytes, or no text in UTF-8."
        raise TieoutError(what, "nothing was asked.", "./scripts/tieout sql, and \\i FILE in its session")
    if text.lstrip().startswith("\\"):
        what = "standard input begins with one of psql's own commands."
        raise TieoutError(what, "nothing was asked.", "./scripts/tieout sql, in whose session they run")
    return text


def show_log(layout: Layout, name: str, *, lines: int, follow: bool) -> NoReturn:
    """Print the end of a service's log, each line as text.

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
    command = [tail, "-n", str(lines), *(["-F"] if follow else []), "--", str(known[name])]
    # Not tail itself: a log may quote what somebody sent, and the terminal would obey it.
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="backslashreplace") as reading:
        assert reading.stdout is not None  # noqa: S101  # a pipe was asked for
        for line in reading.stdout:
            sys.stdout.write(shown_lines(_COLOUR.sub("", line)))
            sys.stdout.flush()
    sys.exit(reading.returncode)
