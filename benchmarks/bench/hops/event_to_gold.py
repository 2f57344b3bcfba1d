"""The delay from the broker to tested marts, in follow mode, while payments go on arriving."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench.frame import OURS, BenchError, Books, Goal, Hop, Outcome, Run, Side, Wish, sum_up
from bench.ground import GONE, own_platform
from bench.silver_rows import connect
from control.catching_up import stream_is_ready

RATE = 200
SETTLE_SECONDS = 300
# Of each event the time from its arrival to the end of the build that first brought it to the marts, exactly.
DELAYS = """
select count(*),
    percentile_disc(array[0.5, 0.95, 1.0]) within group (order by extract(epoch from b.finished_at - t.known_at))
from raw.transactions t
join metadata.processed_loads p using (load_id)
join metadata.builds b using (build_id)
where t.known_at between %s and %s and b.status = 'SUCCESS'
"""
WAITING = """
select count(*) from raw.transactions t
left join metadata.processed_loads p using (load_id) left join metadata.builds b using (build_id)
where t.known_at between %s and %s and b.status is distinct from 'SUCCESS'
"""


def measure(wish: Wish) -> Outcome:
    """Send payments at the rate and look at every event that arrives behind the cold start."""
    seconds, cold = wish.of(600, 45, 20), wish.of(60, 15, 2)
    with own_platform() as ground, ExitStack() as ends:
        stream = ends.enter_context(ground.background("stream"))
        while not stream_is_ready(ground.layout, stream.pid):
            if stream.poll() is not None:
                raise BenchError("the stream ended.", GONE, "run the hop alone")
            time.sleep(0.2)
        ends.enter_context(ground.background("run", "--follow", "--stream", "service"))
        begun = datetime.now(UTC)
        ground.tieout("produce", "--rate", str(RATE), "--total", str(RATE * seconds))
        span = begun + timedelta(seconds=cold), datetime.now(UTC)
        with connect(ground.env) as db:
            _settle(db, span, wish)
            count, delays = _one(db, DELAYS, span)
    p50, p95, worst = map(float, delays)
    run = Run(p95, Books(count), {"p50_seconds": p50, "p95_seconds": p95, "worst_seconds": worst})
    outcome = Outcome([sum_up(Side(f"p95 delay at {RATE} payments a second", OURS, lambda: run), [run])])
    outcome.goals.append(Goal("p95 from event to gold", p95, 60, at_least=False, unit="s"))
    outcome.notes.append(f"p50 {p50:.1f} s, p95 {p95:.1f} s, worst {worst:.1f} s of {count:,} events")
    return outcome


def _settle(db: psycopg.Connection[Any], span: tuple[datetime, datetime], wish: Wish) -> None:
    """Return when every event of the span is in the marts."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        newest = _one(db, "select max(known_at) >= %s - interval '5 s' from raw.transactions", span[1:])
        if newest == (True,) and _one(db, WAITING, span) == (0,):
            return
        time.sleep(wish.of(5, 2, 1))
    raise BenchError(f"events are not in the marts {SETTLE_SECONDS} s later.", GONE, "run the hop alone")


def _one(db: psycopg.Connection[Any], query: str, values: tuple[datetime, ...]) -> Any:
    return db.execute(query, values).fetchone()


HOP = Hop("event_to_gold", "delay from the broker to tested marts, follow mode", measure, moves_rows=False)
