"""Starting, stopping and dying of a whole platform, by the commands that people type."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from control import orphans
from control.env import change_env, ensure_env, read_env
from control.ports import LISTENING
from control.testing import free_ports, temporary_home
from core.layout import find_layout

pytestmark = pytest.mark.services


@pytest.fixture
def layout():
    with temporary_home() as home:
        layout = find_layout({"TIEOUT_HOME": str(home)})
        ensure_env(layout)
        ports = dict(zip(LISTENING, map(str, free_ports(len(LISTENING))), strict=True))
        change_env(layout, ports | {"LOOP": "follow"})
        yield layout
        _tieout(layout, "stop")


def _command(layout, *arguments):
    environment = {**os.environ, "TIEOUT_HOME": str(layout.home)}
    return [sys.executable, "-P", "-m", "control", *arguments], environment


def _tieout(layout, *arguments):
    command, environment = _command(layout, *arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def _start(layout, *arguments):
    started = _tieout(layout, "start", "--no-demo", *arguments)
    assert started.returncode == 0, started.stderr
    return started


def _states(layout):
    return {row["name"]: row["state"] for row in json.loads(_tieout(layout, "status", "--json").stdout)["services"]}


def _pids(layout):
    return {process.pid for process in orphans.members(layout)}


def _of_home(layout):
    """Every process of the machine that has this home in its command line, whoever its parent is."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        mine = str(layout.home) in " ".join(process.info["cmdline"] or [])
        if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def test_a_platform_starts_twice_survives_its_supervisor_and_leaves_nothing(layout):
    first = _start(layout)
    assert "127.0.0.1" in first.stderr
    assert {name for name, state in _states(layout).items() if state == "running"} == {
        "kafka",
        "postgres",
        "stream",
        "live",
        "lineage",
        "dashboard",
    }
    before = _pids(layout)
    assert len(before) >= 5

    _start(layout)
    assert _pids(layout) >= {pid for pid in before if psutil.pid_exists(pid) and "java" in psutil.Process(pid).name()}

    supervisor = json.loads((orphans.folder(layout) / "session").read_text())["pid"]
    os.kill(supervisor, signal.SIGKILL)
    time.sleep(1)
    _start(layout)
    assert json.loads((orphans.folder(layout) / "session").read_text())["pid"] != supervisor
    brokers = [pid for pid in _of_home(layout) if "kafka.Kafka" in psutil.Process(pid).cmdline()]
    assert len(brokers) == 1

    assert _tieout(layout, "stop").returncode == 0
    assert _of_home(layout) == []
    assert not (orphans.folder(layout) / "supervisor.sock").exists()
    assert set(_states(layout).values()) == {"stopped"}
    again = _tieout(layout, "stop")
    assert again.returncode == 0
    assert "nothing runs" in again.stderr


def test_two_starts_at_once_make_one_platform(layout):
    command, environment = _command(layout, "start", "--no-demo", "--base")
    starts = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [start.communicate(timeout=300)[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0], said
    assert any("waiting for another start" in each for each in said)
    supervisors = [pid for pid in _of_home(layout) if "supervisord" in " ".join(psutil.Process(pid).cmdline())]
    assert len(supervisors) == 1


def test_a_taken_port_is_said_aloud_and_kept(layout):
    taken = int(read_env(layout.env_file)["POSTGRES_PORT"])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen(1)
        started = _start(layout, "--base")
    used = int(read_env(layout.env_file)["POSTGRES_PORT"])
    assert used > taken
    assert f"POSTGRES_PORT: {taken} is taken, {used} is used from now on" in started.stderr


def test_a_start_without_java_says_so_and_starts_nothing(layout, tmp_path):
    command, environment = _command(layout, "start", "--no-demo", "--base")
    environment["PATH"] = str(tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Java 17 is needed: no java is on PATH." in done.stderr
    assert _of_home(layout) == []


def test_a_dead_broker_is_a_row_in_status_and_not_a_crash(layout):
    _start(layout, "--base")
    properties = layout.state / "broker" / "server.properties"
    properties.rename(properties.with_suffix(".away"))
    for process in map(psutil.Process, _of_home(layout)):
        if "kafka.Kafka" in process.cmdline():
            process.kill()
    time.sleep(3)
    found = _tieout(layout, "status", "--json")
    status = json.loads(found.stdout)
    assert found.returncode == 1
    assert not status["ok"]
    rows = {row["name"]: row for row in status["services"]}
    assert rows["kafka"]["state"] in {"broken", "starting"}
    assert rows["postgres"]["state"] == "running"
    stations = {row["name"]: row for row in status["stations"]}
    assert "kafka does not answer" in stations["topic"]["error"]
    assert stations["silver"]["count"] == 0


def test_reset_deletes_the_data_and_keeps_the_settings(layout):
    _start(layout, "--base")
    before = read_env(layout.env_file)
    kept = layout.undelivered / "feed.jsonl"
    kept.write_text("{}")
    done = _tieout(layout, "reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert kept.exists()
    assert _of_home(layout) == []
    assert not layout.kafka_data.exists()
    assert not layout.postgres_data.exists()
    assert read_env(layout.env_file) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other accounts to give")
def test_a_home_that_other_accounts_cannot_reach_still_works_and_says_why(layout):
    layout.home.chmod(0o700)
    started = _start(layout, "--base")
    assert f"cannot reach {layout.home}" in started.stderr
    place = next(line for line in _tieout(layout, "doctor").stdout.splitlines() if "accounts" in line)
    assert "NOT OK" in place
    assert _states(layout)["postgres"] == "running"
    _tieout(layout, "reset", "--yes")
    for folder in orphans.Path("/var/lib/tieout").glob("*"):
        if not any(folder.iterdir()):
            shutil.rmtree(folder)
