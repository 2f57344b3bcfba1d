"""The dbt process, and what is said of its failures. No database is needed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from core.errors import TieoutError
from core.layout import Layout
from transformation.dbt_process import WORKER, DbtProcess
from transformation.messages import Outcome, is_outage, without_rows


def test_the_dbt_process_ends_with_its_starter(tmp_path: Path) -> None:
    starter = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, {str(WORKER)!r}], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        os.kill(parent.pid, signal.SIGKILL)
        gone, alive = psutil.wait_procs([child], timeout=20)
    assert alive == []
    assert [process.pid for process in gone] == [child.pid]


def test_a_missing_dbt_environment_names_the_set_up(tmp_path: Path) -> None:
    process = DbtProcess(Layout(tmp_path / "checkout", tmp_path), {})
    (tmp_path / "checkout" / "transformation").mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        (tmp_path / "checkout" / "transformation" / name).touch()
    with pytest.raises(TieoutError, match=r"setup\.sh"):
        process.run(["build"])


def test_a_database_error_is_told_without_the_rows_that_it_quotes() -> None:
    message = (
        "Database Error in model fact_transactions (models/marts/fact_transactions.sql)\n"
        '  new row violates check constraint "fact_amount_positive"\n'
        "  DETAIL:  Failing row contains (0b24, 2026-03-10, customer-1).\n"
        "  compiled code at /home/x/target/run.sql\n"
    )
    said = without_rows(message)
    assert "fact_amount_positive" in said
    assert "customer-1" not in said


def test_failures_name_the_node_and_skipped_ones_are_not_failures() -> None:
    nodes = (
        {"name": "a", "status": "success", "message": None},
        {"name": "b", "status": "fail", "message": "Got 2 results, configured to fail if != 0"},
        {"name": "c", "status": "skipped", "message": None},
    )
    assert Outcome(False, nodes, None).failures() == ["b: Got 2 results, configured to fail if != 0"]
    assert Outcome(False, (), "the project does not parse").failures() == ["the project does not parse"]


@pytest.mark.parametrize(
    "words",
    [
        'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        "server closed the connection unexpectedly",
        "terminating connection due to administrator command",
        "FATAL: the database system is starting up",
    ],
)
def test_a_database_that_is_away_is_an_outage_and_a_failing_test_is_none(words: str) -> None:
    fails = "unique_fact: Got 3 results, configured to fail if != 0"
    assert not is_outage([fails])
    assert is_outage([fails, words])
