"""What gives way gives way in the database too: a session's server process takes over its client's niceness."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from control.roles import dsn
from control.testing import Handle

pytestmark = pytest.mark.services

LOADER = "import psycopg; from core.niceness import pass_on; c = psycopg.connect({dsn!r}); pass_on(c); "
SEEN = "import os; server = c.info.backend_pid; print(os.getpriority(os.PRIO_PROCESS, server))"
GROUP = "; print(open(f'/proc/{server}/autogroup').read().split()[-1])" if Path("/proc/self/autogroup").exists() else ""


@pytest.mark.parametrize(("niceness", "servers"), [(0, 0), (5, 10)])
def test_a_session_gives_way_where_its_client_does(services: Handle, niceness: int, servers: int) -> None:
    program = LOADER.format(dsn=dsn(services.env, "loader")) + SEEN + GROUP
    command = ["nice", "-n", str(niceness), sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {int(line) for line in done.stdout.split()} == {servers}


def test_nobody_else_may_ask_for_it(services: Handle) -> None:
    with psycopg.connect(dsn(services.env, "reader")) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("select control.give_way()")
