"""How long the dashboard's pages take at five million payments: fills a warehouse, builds its marts, loads each page.

Run it with: .tieout/env/platform/bin/python benchmarks/dashboard_pages.py [--payments 5000000] [--days 500]
It makes a PostgreSQL of its own in a temporary folder (about 8 GB at five million) and removes it at the end.
"""

import argparse
import logging
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "dashboard" / "tests"))

import streamlit as st  # noqa: E402
from filled import TOKEN, Filled, fill, own_warehouse  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from dashboard.shell import database  # noqa: E402

FIRST = "the first day"
VIEWS: dict[str, dict[str, str | list[str]]] = {
    "30 days": {},
    "all days": {"from": FIRST},
    "all days, one channel and category": {"from": FIRST, "channel": ["UPI"], "category": ["food"]},
    "all days, one region": {"from": FIRST, "region": ["West"]},
    "all days, one state": {"from": FIRST, "state": ["Maharashtra, IN"]},
    "30 days, one state": {"state": ["Maharashtra, IN"]},
    "30 days, one segment": {"segment": ["ACTIVE"]},
}
TRIES = 5


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def processor_seconds() -> float:
    """Return what this process and its one connection have used so far; not disturbed by what else runs here."""
    pid = database().rows("select pg_backend_pid() as pid")[0]["pid"]
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return time.process_time() + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def page_seconds(name: str, query: dict[str, str | list[str]]) -> tuple[float, float]:
    """Load a page with nothing remembered; return seconds on the clock and of the processor for all that it shows."""
    st.cache_data.clear()
    app = AppTest.from_string(f"from dashboard.pages import {name}\n{name}.show()\n", default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    used, begun = processor_seconds(), time.perf_counter()
    app.run()
    seconds = time.perf_counter() - begun
    used = processor_seconds() - used
    shown = len(app.metric) if name == "business" else len(app.dataframe)
    if app.exception or not shown:
        sys.exit(f"{name} {query} shows nothing: {app.exception} {[warning.value for warning in app.warning]}")
    return seconds, used


def measure(warehouse: Filled) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield what each view took."""
    for name in ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_PASSWORD_READER"):
        os.environ[name] = warehouse.env[name]
    os.environ |= {"TIEOUT_HOME": "/nonexistent", "DASHBOARD_TOKEN": TOKEN}
    page_seconds("business", {})  # imports
    first = str(warehouse.sql("select min(occurred_on) as day from marts.daily_revenue_totals")[0]["day"])
    for view, chosen in VIEWS.items():
        query = {name: first if value == FIRST else value for name, value in chosen.items()}
        yield f"Business, {view}", [page_seconds("business", query) for _ in range(TRIES)]
    yield "Books", [page_seconds("books", {}) for _ in range(TRIES)]


def main() -> None:
    """Fill, build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=500)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # Streamlit wonders why there is no server
    size = {"payments": asked.payments, "days": asked.days, "towns": 100, "customers": 50_000, "merchants": 500}
    with own_warehouse() as warehouse:
        begun = time.perf_counter()
        fill(warehouse, size)
        warehouse.sql("vacuum analyze")
        say(f"filled and built in {time.perf_counter() - begun:.0f} s")
        for table in warehouse.sql(
            "select relname, reltuples::bigint as rows, pg_size_pretty(pg_total_relation_size(oid)) as size"
            " from pg_class where relnamespace = 'marts'::regnamespace and relkind = 'r' and reltuples > 0"
            " order by reltuples desc"
        ):
            say(f"  {table['relname']:28} {table['rows']:>12,} rows {table['size']:>10}")
        say(f"{'page':48} {'median s':>9} {'worst s':>9} {'processor s':>12}")
        for name, taken in measure(warehouse):
            seconds, used = zip(*taken, strict=True)
            median, worst, processor = statistics.median(seconds), max(seconds), statistics.median(used)
            say(f"{name:48} {median:9.2f} {worst:9.2f} {processor:12.2f}")


if __name__ == "__main__":
    main()
