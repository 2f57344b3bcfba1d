"""What a killed scheduler leaves is ended, and what Airflow keeps is deleted in time; with real processes and files."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from control import airflow, loop, orphans, sweep, tidy
from control.accounts import Accounts
from control.env import SECRETS, ensure_env, settings
from control.processes import Platform
from control.services import pipeline
from core.errors import OutageError, TieoutError
from core.layout import find_layout

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def layout(tmp_path):
    return find_layout({"TIEOUT_HOME": str(tmp_path)})


@pytest.fixture
def platform(layout):
    accounts = Accounts(None, None, layout.postgres_data, layout.state / "runtime")
    return Platform(layout, accounts, ensure_env(layout))


def _sleeper(**environment):
    return subprocess.Popen([shutil.which("sleep"), "600"], env={**os.environ, **environment}, process_group=0)


def _is_alive(process):
    return process.poll() is None


@linux_only
def test_the_mark_is_the_same_word_on_both_sides():
    assert sweep.MARK == airflow.MARK


@linux_only
def test_a_new_scheduler_ends_the_workers_and_the_programs_of_the_one_before_and_nobody_elses(tmp_path):
    worker = _sleeper()  # leader of its group, as the former scheduler was
    program = _sleeper(**{sweep.MARK: str(tmp_path)})
    elsewhere = _sleeper(**{sweep.MARK: str(tmp_path / "another")})
    pid_file = tmp_path / "scheduler.pid"
    pid_file.write_text(str(worker.pid))
    try:
        command = [sys.executable, "-I", "-S", sweep.__file__, str(pid_file), str(tmp_path), "--"]
        done = subprocess.run(
            [*command, sys.executable, "-c", "import os; print(os.getpid())"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert worker.wait(timeout=10) != 0
        assert program.wait(timeout=10) != 0
        assert _is_alive(elsewhere)
        assert "2 processes of an earlier scheduler were ended" in done.stdout
        assert done.stdout.splitlines()[-1] == pid_file.read_text(), "it becomes the program, with the same process id"
    finally:
        for process in (worker, program, elsewhere):
            process.kill()
            process.wait()


def test_old_task_logs_go_and_young_ones_stay(tmp_path):
    old, young = (
        tmp_path / "dag_id=a" / "run_id=1" / "attempt=1.log",
        tmp_path / "dag_id=a" / "run_id=2" / "attempt=1.log",
    )
    long_ago = time.time() - 30 * 86_400
    for path in (old, young):
        path.parent.mkdir(parents=True)
        path.write_text("said\n")
    os.utime(old, (long_ago, long_ago))
    os.utime(old.parent, (long_ago, long_ago))
    assert tidy.delete_logs(tmp_path, time.time() - 7 * 86_400) == 1
    assert not old.exists()
    assert young.exists()
    assert tmp_path.exists()


def test_passwords_are_written_before_airflow_starts_for_their_owner_only(platform):
    layout = platform.layout
    assert airflow.prepare_airflow(layout, platform.accounts, platform.settings)
    file = airflow.passwords_file(layout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert json.loads(file.read_text()) == {
        "admin": platform.settings["AIRFLOW_PASSWORD_ADMIN"],
        "viewer": platform.settings["AIRFLOW_PASSWORD_VIEWER"],
    }
    assert not airflow.prepare_airflow(layout, platform.accounts, platform.settings), "shown once"
    file.write_text("{}")
    airflow.prepare_airflow(layout, platform.accounts, platform.settings)
    assert "viewer" in file.read_text()


def test_airflow_sends_nothing_home_and_opens_no_port_but_the_servers(platform):
    found = airflow.environment(platform.layout, platform.settings, airflow.API)
    assert found["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert found["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert found["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert found["DO_NOT_TRACK"] == "1"
    for name in (airflow.SCHEDULER, airflow.TRIGGERER):
        assert "--skip-serve-logs" in platform.services[name].command


def test_only_the_scheduler_knows_what_its_tasks_need_and_no_other_process_does(platform):
    services = platform.services
    assert set(airflow.NAMES) <= set(services)
    needed = {name for name in pipeline.SERVICE.knows if name in SECRETS}
    assert len(needed) >= 4
    assert needed <= set(services[airflow.SCHEDULER].environment)
    for name in set(airflow.NAMES) - {airflow.SCHEDULER}:
        assert not set(services[name].environment) & set(SECRETS), name
        assert not {platform.settings[secret] for secret in needed} & set(services[name].environment.values()), name
    signing = {name for name in airflow.NAMES if "AIRFLOW__API_AUTH__JWT_SECRET" in services[name].environment}
    assert signing == {airflow.API, airflow.SCHEDULER}


@pytest.mark.parametrize(
    ("word", "there", "absent"), [("follow", "pipeline", airflow.API), ("off", "stream", "pipeline")]
)
def test_the_loop_is_the_one_that_is_set(platform, word, there, absent):
    services = replace(platform, settings={**platform.settings, "LOOP": word}).services
    assert there in services
    assert absent not in services
    assert "pipeline" not in platform.services


def test_an_unknown_loop_is_refused_with_the_words_that_there_are(platform):
    with pytest.raises(TieoutError, match="LOOP is not as it should be: Input should be 'airflow', 'follow' or 'off'"):
        settings(platform.layout, {**platform.settings, "LOOP": "cron"})


class _Airflow:
    """Airflow's answers, and what it was told."""

    def __init__(self):
        self.told = []

    def dag(self, name):
        return {"dag_id": name}

    def pause(self, name, paused):
        self.told.append((name, paused))

    def import_errors(self):
        return []


def test_what_people_set_in_airflow_survives_the_next_start_of_the_same_kind(platform, monkeypatch):
    there = _Airflow()
    monkeypatch.setattr(loop, "Rest", lambda _: there)
    monkeypatch.setattr(loop, "_has_a_file", lambda *_: True)
    loop.unpause_dags(platform, demo=False)
    assert (loop.PIPELINE, True) in there.told
    assert ("backfill", False) in there.told
    there.told.clear()
    loop.unpause_dags(platform, demo=False)
    assert there.told == []
    loop.unpause_dags(platform, demo=True)
    assert (loop.PIPELINE, False) in there.told


def test_an_api_server_that_is_away_is_an_outage(platform):
    settings = {**platform.settings, "AIRFLOW_PORT": "1"}
    with pytest.raises(OutageError, match=r"airflow does not answer at http://127\.0\.0\.1:1"):
        loop.Rest(settings).health()


def test_processes_with_sessions_of_their_own_belong_to_the_platform(layout):
    layout.state.mkdir()
    orphans.folder(layout).mkdir()
    supervisor, program = _sleeper(), _sleeper(**{orphans.MARK: str(layout.home)})
    try:
        orphans.remember(layout, supervisor.pid)
        assert program.pid in {process.pid for process in orphans.members(layout)}
        assert psutil.pid_exists(supervisor.pid)
    finally:
        for process in (supervisor, program):
            process.kill()
            process.wait()
