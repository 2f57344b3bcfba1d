"""The stream of this checkout beside that of another one, such as an earlier commit, on the same topic, in turns.

    .tieout/env/platform/bin/python benchmarks/two_checkouts.py OTHER [--payments 500000] [--rounds 5] [--cold 1]

OTHER is a folder whose ./scripts/setup.sh has run. It makes a platform of its own in a temporary folder and removes it
at the end. Warm: one session each, which drains the whole topic into a new lake again and again, behind one drain to
warm up. Cold: `tieout stream --once` with a new Java each. Prints a line of JSON: for each side events a second,
microseconds of processor time an event (Java and Python together), and the most memory of all its processes together.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.feed import words
from bench.ground import Ground, dying, end_on_signal, forget_settings, own_platform
from bench.served import served
from control.offsets import end_offsets
from core.layout import CHECKOUT


class Use:
    """Processor time and memory of the processes that have a word in their environment, while a block runs."""

    def __init__(self, word: str) -> None:
        self._word, self._over = word, threading.Event()
        self._seconds: dict[psutil.Process, float] = {}
        self._before: dict[psutil.Process, float] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.most_mib = 0

    def __enter__(self) -> "Use":
        self._look()
        self._before = dict(self._seconds)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    @property
    def seconds(self) -> float:
        """Processor seconds within the block."""
        return sum(seconds - self._before.get(process, 0) for process, seconds in self._seconds.items())

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self._look()

    def _look(self) -> None:
        together = 0
        for process in psutil.process_iter():
            try:
                if process.environ().get("TIEOUT_BENCH_SIDE") == self._word:
                    used = process.cpu_times()
                    self._seconds[process] = used.user + used.system
                    together += process.memory_full_info().pss
            except psutil.Error:
                continue
        self.most_mib = max(self.most_mib, together >> 20)


class Side:
    """One checkout.

    Attributes:
        runs: what each drain took.
    """

    def __init__(self, name: str, checkout: Path, ground: Ground) -> None:
        self.name = name
        self.runs: dict[str, list[dict[str, float]]] = {"warm": [], "cold": []}
        self._python = str(checkout / ".tieout" / "env" / "platform" / "bin" / "python")
        self._home = ground.handle.home.with_name(f"{ground.handle.home.name}-{name}")
        self._ground = ground
        self._home.mkdir(mode=0o700)
        shutil.copy(ground.layout.env_file, self._home / ".env")
        self._env = {**os.environ, "TIEOUT_HOME": str(self._home), "TIEOUT_BENCH_SIDE": name}
        self._env["PYTHONPATH"] = str(checkout / "benchmarks")
        self._session: Any = None

    def start(self, ends: ExitStack) -> None:
        """Start the warm session, and remove the home at the end."""
        ends.callback(shutil.rmtree, self._home, ignore_errors=True)
        self._session = ends.enter_context(served([self._python, "-m", "bench.sides.spark_session"], {}, self._env))

    def warm(self, events: int, *, counts: bool) -> None:
        """Drain the topic in the session that runs."""
        with Use(self.name) as use:
            seconds = self._session.ask(do="lake", home=str(self._home / "lake"))["seconds"]
        shutil.rmtree(self._home / "lake")
        if counts:
            self._note("warm", events, seconds, use)

    def cold(self, events: int) -> None:
        """Drain the topic by the command."""
        begun = time.perf_counter()
        with Use(self.name) as use:
            command = dying([self._python, "-P", "-m", "control", "stream", "--once"])
            subprocess.run(command, env=self._env, cwd="/", check=True, stderr=subprocess.DEVNULL)
        self._note("cold", events, time.perf_counter() - begun, use)
        shutil.rmtree(self._home / "data")

    def _note(self, kind: str, events: int, seconds: float, use: Use) -> None:
        done = {"seconds": seconds, "per_second": events / seconds, "us": use.seconds / events * 1e6}
        self.runs[kind].append({name: round(value, 1) for name, value in done.items()} | {"mib": use.most_mib})


def main() -> None:
    """Fill a topic and let both sides drain it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("other", type=Path)
    options.add_argument("--payments", type=int, default=470_000, help="about 500,000 events")
    options.add_argument("--rounds", type=int, default=5, help="warm ones, behind a warm-up")
    options.add_argument("--cold", type=int, default=1, help="cold rounds")
    asked = options.parse_args()
    forget_settings()
    end_on_signal()
    with own_platform() as ground, ExitStack() as ends:
        ground.tieout("produce", *words(asked.payments, "0.02"))
        events = sum(end_offsets(ground.env, "transactions").values())
        sides = [Side("this", CHECKOUT, ground), Side("other", asked.other.resolve(), ground)]
        for _ in range(asked.cold):
            for side in sides:
                side.cold(events)
        for side in sides:
            side.start(ends)
        for number in range(asked.rounds + 1):
            for side in sides:
                side.warm(events, counts=number > 0)
    said = {side.name: side.runs for side in sides}
    ratios = {
        kind: round(median(e["seconds"] for e in said["other"][kind]) / median(e["seconds"] for e in runs), 2)
        for kind, runs in said["this"].items()
        if runs
    }
    sys.stdout.write(json.dumps({"events": events, **said, "times_as_fast": ratios}) + "\n")


if __name__ == "__main__":
    main()
