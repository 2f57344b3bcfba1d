"""Processes that outlive their supervisor: found by session or mark, ended before anything starts beside them.

After a kill -9 of the supervisor most children get the kernel's death signal, some do not. They carry the supervisor's
process id as session id, which stays taken as long as one of them lives, or a mark in their environment.
"""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil

from core.layout import Layout

# Every service's environment has it, with the home; what a service or a task starts has it too.
MARK = "TIEOUT_SERVICE_OF"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def folder(layout: Layout) -> Path:
    """Return the supervisor's own folder: its configuration holds secrets, so services have no right on it."""
    return layout.state / "supervisor"


def _boot() -> str:
    return BOOT_ID.read_text(encoding="utf-8").strip() if BOOT_ID.exists() else str(psutil.boot_time())


def began(pid: int) -> float:
    """Return when a process began, in seconds since the machine did: the clock on the wall may be set meanwhile.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    file = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return psutil.Process(pid).create_time()
    try:
        fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def remember(layout: Layout, pid: int) -> None:
    """Keep the supervisor's session, to find what belongs to it later."""
    known = {"pid": pid, "began": began(pid), "boot": _boot()}
    (folder(layout) / "session").write_text(json.dumps(known), encoding="utf-8")


def members(layout: Layout) -> list[psutil.Process]:
    """Return the live processes of the session that was remembered, the supervisor first if it lives.

    A child of the supervisor belongs to it also where this account may not read the child's environment.
    """
    file = folder(layout) / "session"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    if known["boot"] != _boot() or _taken_by_another(known["pid"], known.get("began")):
        return []
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            ours = known["pid"] in {os.getsid(process.pid), process.ppid()}
            ours = ours or process.environ().get(MARK) == str(layout.home)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return sorted(found, key=lambda process: process.pid != known["pid"])


def _taken_by_another(pid: int, known: float | None) -> bool:
    """Say whether a process has another's number; of a session that an earlier version remembered nobody can tell."""
    try:
        return known is not None and abs(began(pid) - known) > 1
    except psutil.NoSuchProcess:
        return False


def wait_for_end(pid: int, seconds: float) -> None:
    """Return when a process is gone or the time is over; a zombie counts as gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.1)


def reap(layout: Layout, seconds: float = 15) -> int:
    """End what the remembered session left, kindly first, and return how many there were.

    A postmaster gets SIGINT: on SIGTERM it would wait for its clients for ever. Its backends are its own to end.
    """
    left = members(layout)
    for process in left:
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            is_database = bool(command) and Path(command[0]).name.startswith("postgres")
            if is_database and "-D" in command:
                process.send_signal(signal.SIGINT)
            elif not is_database:
                process.terminate()
    deadline = time.monotonic() + seconds
    while members(layout) and time.monotonic() < deadline:
        time.sleep(0.1)
    while remaining := members(layout):
        for process in remaining:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.1)
    (folder(layout) / "session").unlink(missing_ok=True)
    return len(left)
