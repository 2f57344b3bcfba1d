"""How much memory each process needs while millions of events are made, drained, loaded, built and proven.

    .tieout/env/platform/bin/python benchmarks/drain_memory.py [--payments 4000000]

It makes a platform of its own in a temporary folder (about 15 GB at four million payments, which are some 4.3 million
events) and removes it at the end. Prints a line of JSON: seconds of each step, peaks in MiB as the kernel keeps them.
"""

import argparse
import json
import sys
import time

from bench.feed import words
from bench.ground import Ground, end_on_signal, forget_settings, own_platform
from bench.memory import Peaks
from bench.silver_rows import connect
from control import supervision


def main() -> None:
    """Produce, run, count; print what it took."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--payments", type=int, default=4_000_000, help="settlements come on top")
    asked = options.parse_args()
    forget_settings()
    end_on_signal()
    gateway: dict[str, int] = {}
    pipeline: dict[str, int] = {}
    with own_platform() as ground, Peaks(_supervisor(ground)) as services:
        begun = time.perf_counter()
        ground.tieout("produce", *words(asked.payments), peaks=gateway)
        produced = time.perf_counter() - begun
        begun = time.perf_counter()
        run = json.loads(ground.tieout("run", "--json", peaks=pipeline))
        seconds = time.perf_counter() - begun
        with connect(ground.env) as db:
            (events,) = db.execute("select count(*) from raw.transactions").fetchone() or (0,)
    said = {
        "events": events,
        "ok": run["ok"],
        "seconds": {"produce": round(produced, 1), "run": round(seconds, 1)},
        "steps": {step["name"]: step["seconds"] for step in run["steps"]},
        "peaks_mib": {
            "gateway": gateway["python"],
            "jvm": pipeline["java"],
            "loader": pipeline["python"],
            "broker": services.mib["java"],
            "database, one session": services.mib["postgres"],
        },
    }
    sys.stdout.write(json.dumps(said) + "\n")


def _supervisor(ground: Ground) -> int:
    """Return the process under which broker and database run."""
    return int((supervision.folder(ground.layout) / "supervisord.pid").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
