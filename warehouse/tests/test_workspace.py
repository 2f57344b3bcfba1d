import os
import signal
import subprocess
import sys
from pathlib import Path

from warehouse.read import open_workspace

HOLD = """
import sys
from pathlib import Path
from warehouse.read import open_workspace
with open_workspace(Path(sys.argv[1]), "100MB"):
    print("open", flush=True)
    sys.stdin.read()
"""


def holder(spill: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(spill)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_what_a_killed_process_spilled_is_removed_by_the_next_and_a_living_ones_stays(tmp_path: Path) -> None:
    killed, living = holder(tmp_path), holder(tmp_path)
    mine = set(tmp_path.iterdir())
    assert len(mine) == 2
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    with open_workspace(tmp_path, "100MB"):
        assert len(mine & set(tmp_path.iterdir())) == 1
    living.communicate()
    assert list(tmp_path.iterdir()) == []
