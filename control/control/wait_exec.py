"""Wait for what a program needs, then become it: `wait_exec.py SIGNAL [nice:N] [session] [tcp:PORT] -- COMMAND ...`.

The program gets the environment that TIEOUT_ENVIRONMENT holds, and nothing else: JSON in base64, because the grammar of
the supervisor's configuration cannot hold every value.

It runs as a file and imports nothing of ours, so that it starts in a few milliseconds for any account. The process
id stays the same, so the supervisor's signals reach the program itself. The kernel sends SIGNAL when the parent dies:
after a kill -9 of the supervisor its children would live on otherwise, and a second stream could start beside them.
"""

import base64
import ctypes
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> None:
    """Ask the kernel for a signal at the parent's death (Linux only)."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def open_session() -> None:
    """Become a session: Linux shares the processors among sessions first, and by niceness inside each (autogroup)."""
    with suppress(OSError):
        # The supervisor has made this process the leader of a group, and such a one cannot.
        os.setpgid(0, os.getpgid(os.getppid()))
        os.setsid()


def answers(port: int) -> bool:
    """Say whether something accepts connections on 127.0.0.1:port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> None:
    """Wait and become the program."""
    split = arguments.index("--")
    name, *wishes = arguments[:split]
    die_with_parent(signal.Signals[name])
    for kind, _, number in (wish.partition(":") for wish in wishes):
        if kind == "nice":
            os.nice(int(number))
        if kind == "session":
            open_session()
        while kind == "tcp" and not answers(int(number)):
            time.sleep(0.2)
    packed = os.environ.get("TIEOUT_ENVIRONMENT")
    environment = json.loads(base64.b64decode(packed)) if packed else os.environ
    command = arguments[split + 1 :]
    os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
