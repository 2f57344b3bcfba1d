"""What gives way gives way in the database too: a session's server process takes over its client's niceness."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from control.roles import dsn
from control.testing import Handle
from core.layout import CHECKOUT

pytestmark = pytest.mark.services

LOADER = "import psycopg; from core.niceness import pass_on; c = psycopg.connect({dsn!r}); pass_on(c); "
DBT = (
    f"import sys; sys.path.append({str(CHECKOUT / 'control' / 'control')!r}); import dbt_sessions, psycopg2; "
    "dbt_sessions.share_niceness(); c = psycopg2.connect({dsn!r}); "
)
SEEN = "import os; server = c.info.backend_pid; print(os.getpriority(os.PRIO_PROCESS, server))"
GROUP = "; print(open(f'/proc/{server}/autogroup').read().split()[-1])" if Path("/proc/self/autogroup").exists() else ""
DBT_PYTHON = str(CHECKOUT / ".tieout" / "env" / "dbt" / "bin" / "python")


@pytest.mark.parametrize(("niceness", "servers"), [(0, 0), (5, 10)])
@pytest.mark.parametrize(
    ("python", "program", "role"), [(sys.executable, LOADER, "loader"), (DBT_PYTHON, DBT, "dbt")], ids=["loader", "dbt"]
)
def test_a_session_gives_way_where_its_client_does(
    services: Handle, python: str, program: str, role: str, niceness: int, servers: int
) -> None:
    program = program.format(dsn=dsn(services.env, role)) + SEEN + GROUP
    command = ["nice", "-n", str(niceness), python, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {int(line) for line in done.stdout.split()} == {servers}


def test_nobody_else_may_ask_for_it(services: Handle) -> None:
    with psycopg.connect(dsn(services.env, "reader")) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("select control.give_way()")
