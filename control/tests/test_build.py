"""The parts of a build that need no database: the project's hash, the dbt process, what is said of failures."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from control.build_dbt import WORKER, DbtWorker, Outcome, without_rows
from control.build_project import files_digest, project_hash
from core.errors import TieoutError
from core.layout import Layout, find_layout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the dbt project to change."""
    copy = tmp_path / "transformation"
    shutil.copytree(find_layout().checkout / "transformation", copy, ignore=shutil.ignore_patterns("target", "logs"))
    return copy


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/marts/dim_channels.sql", "fee_percent\n", "fee_percent + 0 as fee_percent\n"),
        ("macros/buckets.sql", "3600", "3601"),
        ("seeds/payment_channels.csv", "1.8000", "1.9000"),
        ("models/marts/dim_channels.yml", "numeric(7,4)", "numeric(7,5)"),
    ],
)
def test_what_decides_the_content_changes_the_hash(project: Path, file: str, old: str, new: str) -> None:
    before = project_hash(project)
    text = (project / file).read_text(encoding="utf-8")
    assert old in text
    (project / file).write_text(text.replace(old, new), encoding="utf-8")
    assert project_hash(project) != before


def test_words_about_the_content_do_not_change_the_hash_but_ask_for_a_new_parse(project: Path) -> None:
    hashed, digest = project_hash(project), files_digest(project)
    model = project / "models/marts/dim_channels.sql"
    model.write_text("-- Said more clearly.\n" + model.read_text(encoding="utf-8"), encoding="utf-8")
    described = project / "models/marts/dim_channels.yml"
    described.write_text(described.read_text(encoding="utf-8").replace("Grain:", "The grain:"), encoding="utf-8")
    (project / "tests" / "another.sql").write_text("select 1 where false", encoding="utf-8")
    assert project_hash(project) == hashed
    assert files_digest(project) != digest


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
    worker = DbtWorker(Layout(tmp_path / "checkout", tmp_path), {}, {})
    (tmp_path / "checkout" / "transformation").mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        (tmp_path / "checkout" / "transformation" / name).touch()
    with pytest.raises(TieoutError, match=r"setup\.sh"):
        worker.run(["build"], "no build")


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
