"""What a second executor gives a parse-bound drain: the topic read and classified to nowhere, by one core and by more.

    .tieout/env/platform/bin/python benchmarks/second_executor.py [--payments 200000] [--rounds 3]

It makes a platform of its own in a temporary folder and removes it at the end. Each master's session is warm, and they
take turns; prints a line of JSON: seconds of each round, and how many times as fast as one core the median is.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from statistics import median

from bench.feed import words
from bench.ground import end_on_signal, forget_settings, own_platform
from bench.hops.silver import environment
from bench.served import served

MASTERS = ("local[1]", "local[2]", "local-cluster[1,1,1024]", "local-cluster[2,1,1024]")


def main() -> None:
    """Fill a topic and drain it by each master in turn."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--payments", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=3, help="behind a warm-up")
    asked = options.parse_args()
    forget_settings()
    end_on_signal()
    command = [sys.executable, "-P", "-m", "bench.sides.spark_session"]
    seconds: dict[str, list[float]] = {master: [] for master in MASTERS}
    rows = set()
    with own_platform() as ground, ExitStack() as ends:
        ground.tieout("produce", *words(asked.payments))
        sessions = {
            master: ends.enter_context(served(command, {"master": master}, environment(ground))) for master in MASTERS
        }
        for number in range(asked.rounds + 1):
            for master, session in sessions.items():
                done = session.ask(do="nowhere", home=str(ground.handle.home / "nowhere"))
                rows.add(done["rows"])
                if number:
                    seconds[master].append(round(done["seconds"], 2))
    alone = median(seconds["local[1]"])
    times = {master: round(alone / median(each), 2) for master, each in seconds.items()}
    sys.stdout.write(json.dumps({"rows": sorted(rows), "seconds": seconds, "times_one_core": times}) + "\n")


if __name__ == "__main__":
    main()
