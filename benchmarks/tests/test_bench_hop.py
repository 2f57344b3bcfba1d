"""One hop, tiny, by the command: it measures, leaves nothing behind, and can be killed."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.ground import PREFIX, sweep
from control.throwaway import OWNER
from core.layout import CHECKOUT

pytestmark = [pytest.mark.services, pytest.mark.slow]
COMMAND = [str(CHECKOUT / "scripts" / "tieout"), "bench", "--hop", "produce", "--tiny"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for homes that the services' accounts can reach."""

    made = Path(tempfile.mkdtemp(prefix="tieout-bench-test-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def of(folder: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), process.environ().get("TIEOUT_HOME", ""), process.environ().get("TMPDIR", "")]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and str(folder) in " ".join(told):
            found.append(process.pid)
    return found


def test_a_tiny_hop_gives_ratios_of_equal_books_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([*COMMAND, "--out", str(out)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hop = json.loads(out.read_text())["hops"]["produce"]
    assert hop["not_run"] == []
    ours, prebuilt, limit, peer = hop["sides"]
    assert ours["count"] == prebuilt["count"] == limit["count"] == peer["count"] > 2000
    assert ours["amounts"] == prebuilt["amounts"] == peer["amounts"]
    assert set(ours["amounts"]) == {"INR", "USD"}
    assert limit["amounts"] == {}
    assert all(goal["value"] > 0 for goal in hop["goals"])
    assert list(folder.iterdir()) == []
    assert of(folder) == []


def test_a_killed_benchmark_is_swept_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen(COMMAND, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(folder.glob(f"{PREFIX}*/.tieout/supervisor/session")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (home,) = folder.glob(f"{PREFIX}*")
    assert (home / OWNER).exists()
    assert of(home) != []
    monkeypatch.setenv("TMPDIR", str(folder))
    assert sweep() == [home]
    assert list(folder.iterdir()) == []
    assert of(home) == []
