"""How long the dashboard's pages take at five million payments: fills a warehouse, builds its marts, loads each page.

It also says how long a customer's latest payments take to find, and what the fact's index for that costs a merge.

Run it with: .tieout/env/platform/bin/python benchmarks/dashboard_pages.py [--payments 5000000] [--days 500]
It makes a PostgreSQL of its own in a temporary folder (about 8 GB at five million) and removes it at the end.
"""

import argparse
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "dashboard" / "tests"))

import streamlit as st  # noqa: E402
from filled import TOKEN, Filled, fill, fill_books, fill_flow, own_warehouse  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from dashboard.customer_questions import LATEST  # noqa: E402
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
    "all days, one segment": {"from": FIRST, "segment": ["ACTIVE"]},
}
LOOKUPS = 200


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
    app = AppTest.from_string(f"from dashboard.screens import {name}\n{name}.show()\n", default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    used, begun = processor_seconds(), time.perf_counter()
    app.run()
    seconds = time.perf_counter() - begun
    used = processor_seconds() - used
    shown = len(app.metric) if name in {"business", "customer", "live"} else len(app.dataframe)
    if app.exception or not shown:
        sys.exit(f"{name} {query} shows nothing: {app.exception} {[warning.value for warning in app.warning]}")
    return seconds, used


def measure(warehouse: Filled, tries: int) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield what each view took."""
    for name in ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_PASSWORD_READER"):
        os.environ[name] = warehouse.env[name]
    os.environ |= {"TIEOUT_HOME": "/nonexistent", "DASHBOARD_TOKEN": TOKEN}
    page_seconds("business", {})  # imports
    first = str(warehouse.sql("select min(occurred_on) as day from marts.daily_revenue_totals")[0]["day"])
    for view, chosen in VIEWS.items():
        query = {name: first if value == FIRST else value for name, value in chosen.items()}
        yield f"Business, {view}", [page_seconds("business", query) for _ in range(tries)]
    fill_books(warehouse)
    yield "Books", [page_seconds("books", {}) for _ in range(tries)]
    customer = warehouse.sql("select customer_id from marts.fact_transactions order by occurred_on limit 1")[0]
    yield "Customer", [page_seconds("customer", {"customer": customer["customer_id"]}) for _ in range(tries)]
    fill_flow(warehouse)
    yield "Live, one look", [page_seconds("live", {}) for _ in range(tries)]
    yield "Alerts", [page_seconds("alerts", {}) for _ in range(tries)]
    yield "Connect", [page_seconds("connect", {}) for _ in range(tries)]


def lookups(warehouse: Filled, seed: int = 7) -> list[float]:
    """Return the milliseconds in which random customers' fifty latest payments were found, each asked for once."""
    known = [row["customer_id"] for row in warehouse.sql("select customer_id from marts.dim_customers order by 1")]
    chosen = random.Random(seed).sample(known, min(LOOKUPS, len(known)))  # noqa: S311 - no secret
    taken = []
    for customer in chosen:
        begun = time.perf_counter()
        found = database().rows(LATEST, {"customer": customer, "most": 50})
        taken.append((time.perf_counter() - begun) * 1000)
        if not found:
            sys.exit(f"{customer} has no payments")
    return taken


def merge_costs(warehouse: Filled, size: dict[str, int], count: int) -> dict[str, float]:
    """Return the seconds in which the fact merges so many new payments with its customers' index and without."""
    found = {}
    first = size["payments"] + 1
    for name in ("warm-up", "with the index", "without the index"):
        if name == "without the index":
            indexes = warehouse.sql(
                "select indexname from pg_indexes where tablename = 'fact_transactions'"
                " and indexdef like '%(customer_id%'"
            )
            if len(indexes) != 1:
                sys.exit("the fact has no index by customer, or several")
            warehouse.sql(f'drop index marts."{indexes[0]["indexname"]}"')
        report = fill(warehouse, size | {"first": first, "payments": count})
        first += count
        seconds = {model["name"]: model["seconds"] for model in report["models"]}
        found[name] = seconds["fact_transactions"]
    return found


def main() -> None:
    """Fill, build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=500)
    parser.add_argument("--tries", type=int, default=5, help="how often each page is loaded")
    parser.add_argument("--increment", type=int, default=20_000, help="payments of the merges that are timed")
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
        for name, taken in measure(warehouse, asked.tries):
            seconds, used = zip(*taken, strict=True)
            median, worst, processor = statistics.median(seconds), max(seconds), statistics.median(used)
            say(f"{name:48} {median:9.2f} {worst:9.2f} {processor:12.2f}")
        taken = sorted(lookups(warehouse))
        say(
            f"{len(taken)} customers' latest 50 payments: median {statistics.median(taken):.1f} ms,"
            f" 99 of 100 within {taken[int(len(taken) * 0.99) - 1]:.1f} ms, worst {taken[-1]:.1f} ms"
        )
        for name, seconds in merge_costs(warehouse, size, asked.increment).items():
            say(f"merge of {asked.increment:,} new payments into the fact, {name}: {seconds:.2f} s")


if __name__ == "__main__":
    main()
