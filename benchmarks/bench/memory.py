"""Peak memory of a process and all that it starts, as the kernel keeps it."""

import threading
from pathlib import Path
from types import TracebackType

import psutil

EVERY_SECONDS = 0.1


class Peaks:
    """Watches a process tree until the end of the block.

    The kernel keeps each process's own peak, so that looking now and then loses only what came in its last moments.

    Attributes:
        mib: the highest peak of a single process, by program: python, java, postgres.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mib: dict[str, int] = {}

    def __enter__(self) -> "Peaks":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            try:
                root = psutil.Process(self._pid)
                for process in (root, *root.children(recursive=True)):
                    self._note(process)
            except psutil.Error:
                continue

    def _note(self, process: psutil.Process) -> None:
        peak, program = peak_mib(process.pid), process.name()
        # What Java starts shares its memory, under the name of one of its threads, until it becomes another program.
        name = next((each for each in ("java", "python", "tieout", "postgres") if each in program), None)
        if peak is not None and name is not None:
            name = "python" if name == "tieout" else name
            self.mib[name] = max(self.mib.get(name, 0), peak)


def peak_mib(pid: int) -> int | None:
    """Return the peak resident memory of a process so far; None when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return int(line.split()[1]) // 1024 if line else None
