"""How long an event takes from the broker to tested marts, on a platform that runs `tieout run --follow`.

    TIEOUT_HOME=/some/folder LOOP=follow ./scripts/start.sh --no-demo
    TIEOUT_HOME=/some/folder .tieout/env/platform/bin/python benchmarks/event_to_gold.py --rate 200 --seconds 240

Payments are sent at the rate for so many seconds. Of every event that arrived meanwhile, settlements too, the time from
its arrival at the broker (known_at) to the end of the build that first brought it to the marts is taken, exactly. The
first minute is left out: it is a cold start.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psycopg

from contracts.layout import CHECKOUT, find_layout
from warehouse.settings import read_settings

TIEOUT = str(CHECKOUT / "scripts" / "tieout")
SETTLE_SECONDS = 300
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


def main() -> None:
    """Send, wait, measure, print one line of JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=int, default=200, help="payments a second")
    options.add_argument("--seconds", type=int, default=240, help="for how long")
    asked = options.parse_args()
    begun = datetime.now(UTC)
    total = str(asked.rate * asked.seconds)
    subprocess.run([TIEOUT, "produce", "--rate", str(asked.rate), "--total", total], check=True, stdout=sys.stderr)
    first, last = begun + timedelta(seconds=60), datetime.now(UTC)
    with psycopg.connect(read_settings(find_layout()).dsn("dbt"), autocommit=True) as db:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(10)
            newest = db.execute("select max(known_at) >= %s - interval '5 s' from raw.transactions", (last,)).fetchone()
            waiting = db.execute(WAITING, (first, last)).fetchone()
            if newest == (True,) and waiting == (0,):
                break
        row = db.execute(DELAYS, (first, last)).fetchone()
    events, delays = row if row else (0, None)
    p50, p95, worst = (round(float(each), 1) for each in delays or (0, 0, 0))
    said = {"rate": asked.rate, "events": events, "p50_seconds": p50, "p95_seconds": p95, "worst_seconds": worst}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
