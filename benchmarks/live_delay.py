"""How long an event takes from the broker to the live view's tables, and whether kills change what is counted.

    TIEOUT_HOME=/some/folder LOOP=off ./scripts/start.sh --no-demo
    TIEOUT_HOME=/some/folder .tieout/env/platform/bin/python benchmarks/live_delay.py --rate 2000 --seconds 60 --kills 2

Payments are sent at the rate for so many seconds; settlements come on top. A second connection asks the positions every
few milliseconds: an event is visible when its position is passed, and its delay begins with the broker's own time of
arrival. `tieout live` is killed (SIGKILL) so many times meanwhile. At the end the pipeline runs, and the totals are
compared with gold. Run it as the user who started the platform.
"""

import argparse
import bisect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

from control import supervision
from control.env import settings
from control.offsets import end_offsets
from control.roles import dsn
from core.kafka_login import KafkaPlace, librdkafka_login
from core.layout import CHECKOUT, find_layout

TIEOUT = str(CHECKOUT / "scripts" / "tieout")
TOPIC = "transactions"
ASK_EVERY_SECONDS = 0.02
CATCH_UP_SECONDS = 300


class Watcher(threading.Thread):
    """Notes when each partition's position was first seen where it is."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self._values = values
        self.seen: dict[int, list[tuple[int, float]]] = defaultdict(list)
        self.stopping = False

    def run(self) -> None:
        """Ask until stopping is set."""
        with psycopg.connect(dsn(self._values, "reader"), autocommit=True) as connection:
            while not self.stopping:
                rows = connection.execute("select partition, next_offset from live.positions").fetchall()
                now = time.time()
                for partition, at in rows:
                    known = self.seen[partition]
                    if not known or known[-1][0] < at:
                        known.append((at, now))
                time.sleep(ASK_EVERY_SECONDS)

    def visible_at(self, partition: int, offset: int) -> float:
        """Return when an event's position was seen to be passed."""
        known = self.seen[partition]
        return known[bisect.bisect_right(known, offset, key=lambda each: each[0])][1]

    def reached(self, ends: Mapping[int, int]) -> bool:
        """Say whether all positions have been seen at these ends."""
        return all(self.seen[partition][-1][0] >= end for partition, end in ends.items() if self.seen[partition])


def arrivals(
    values: Mapping[str, str], begin: Mapping[int, int], ends: Mapping[int, int]
) -> list[tuple[int, int, float]]:
    """Return partition, offset and the broker's time of each event between."""
    consumer = Consumer(
        {
            **librdkafka_login(KafkaPlace.of(values), "auditor", values["KAFKA_PASSWORD_AUDITOR"]),
            "group.id": "auditor-live-delay",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(TOPIC, partition, at) for partition, at in begin.items()])
    found: list[tuple[int, int, float]] = []
    while len(found) < sum(ends.values()) - sum(begin.values()):
        for message in consumer.consume(5_000, 2):
            found.append((message.partition() or 0, message.offset() or 0, message.timestamp()[1] / 1000))
    consumer.close()
    return [each for each in found if each[1] < ends[each[0]]]


def kill_engine() -> float:
    """Kill the supervised engine; return when."""
    os.kill(int(supervision.process_states(find_layout())["live"]["pid"]), signal.SIGKILL)
    return time.time()


def percentile(delays: list[float], share: float) -> int:
    """Return a percentile in milliseconds."""
    return round(1000 * sorted(delays)[min(len(delays) - 1, int(len(delays) * share))]) if delays else -1


def summary(delays: list[float]) -> dict[str, int]:
    """Return how many there are, and p50, p99 and the longest in milliseconds."""
    return {
        "events": len(delays),
        "p50_ms": percentile(delays, 0.5),
        "p99_ms": percentile(delays, 0.99),
        "longest_ms": percentile(delays, 1),
    }


def main() -> None:
    """Send, kill, measure, compare; print one line of JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=int, default=2000, help="payments a second")
    options.add_argument("--seconds", type=int, default=60, help="for how long")
    options.add_argument("--kills", type=int, default=2, help="how often the engine is killed meanwhile")
    options.add_argument("--skip-gold", action="store_true", help="do not run the pipeline and compare at the end")
    asked = options.parse_args()
    values = settings(find_layout())
    begin = end_offsets(values, TOPIC)
    watcher = Watcher(values)
    watcher.start()
    command = [TIEOUT, "produce", "--rate", str(asked.rate), "--total", str(asked.rate * asked.seconds)]
    producer = subprocess.Popen([*command, "--settle-within", "30s"], stdout=sys.stderr)
    kills = []
    for number in range(asked.kills):
        time.sleep(asked.seconds / (asked.kills + 1) if number else 5 + asked.seconds / (asked.kills + 1))
        kills.append(kill_engine())
    producer.wait()
    ends, deadline = end_offsets(values, TOPIC), time.monotonic() + CATCH_UP_SECONDS
    while not watcher.reached(ends) and time.monotonic() < deadline:
        time.sleep(0.2)
    watcher.stopping = True
    watcher.join()
    delays = [(at, watcher.visible_at(p, offset) - at) for p, offset, at in arrivals(values, begin, ends)]
    # From a kill until the new process has caught up, a delay says how long a restart takes, not how quick a batch is.
    calm = [delay for at, delay in delays if not any(kill - 1 < at < kill + 15 for kill in kills)]
    said: dict[str, Any] = {"rate": asked.rate, "seconds": asked.seconds, "kills": len(kills)}
    said |= {"all": summary([delay for _, delay in delays]), "away_from_kills": summary(calm)}
    said["load_average"] = os.getloadavg()[0]
    if not asked.skip_gold:
        subprocess.run([TIEOUT, "run"], check=True, stdout=sys.stderr)
        done = subprocess.run([TIEOUT, "live", "--check", "--json"], capture_output=True, text=True, check=False)
        check = json.loads(done.stdout)
        said["gold"] = {"verdict": check["verdict"], "why": check["why"], "totals_compared": len(check["totals"])}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
