"""End what an earlier scheduler left, then become the new one: `sweep.py PIDFILE HOME -- COMMAND ...`.

A killed scheduler's workers live on, each waiting for ever or still at a task that the new scheduler will run again.
They are found by the process group of the one before; programs that its tasks started, by a mark in their environment.
It runs as a file and imports nothing of ours, so that it starts in a few milliseconds for any account.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

MARK = "TIEOUT_TASKS_OF"
GRACE_SECONDS = 5.0


def leftovers(former: int, home: str) -> list[int]:
    """Return processes of the former scheduler's group in this session, and those marked with the home, but not us."""
    mark = f"{MARK}={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue  # over; its parent has not asked yet, and perhaps never will
            grouped = former and os.getsid(pid) == os.getsid(0) and os.getpgid(pid) == former
            if pid != os.getpid() and (grouped or mark in (entry / "environ").read_bytes().split(b"\0")):
                found.append(pid)
    return found


def end(former: int, home: str) -> int:
    """Ask the leftovers to end, then kill them; return how many there were."""
    first = leftovers(former, home)
    deadline = time.monotonic() + GRACE_SECONDS
    number = signal.SIGTERM
    while left := leftovers(former, home):
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        time.sleep(0.2)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
    return len(first)


def main(arguments: list[str]) -> None:
    """Sweep, keep our process id for the next time, and become the program."""
    split = arguments.index("--")
    file, home = Path(arguments[0]), arguments[1]
    former = int(file.read_text(encoding="ascii")) if file.exists() else 0
    ended = end(former, home)
    if ended:
        print(f"{ended} processes of an earlier scheduler were ended", flush=True)  # noqa: T201
    file.write_text(str(os.getpid()), encoding="ascii")
    command = arguments[split + 1 :]
    os.execvp(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
