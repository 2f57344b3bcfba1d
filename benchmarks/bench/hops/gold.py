"""Seconds from silver to gold for one day's change, at growing history."""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import psycopg

from bench.frame import OURS, PEER, Figure, Goal, Hop, NotRun, Outcome, Run, Side, Wish, sum_up, take_turns
from bench.ground import Ground, own_platform
from bench.history import History
from bench.readback import DAILY, read_gold
from bench.silver_rows import connect
from bench.stock_dbt import StockDbt

ALONE = "tieout build, all marts and tests"
OF_IT = "of it the fact and its daily totals"
LOOKING_BACK = "tieout build, with three days looked back"
# What the stock projects build too.
SAME = "fact and daily totals, beside stock projects"
# By tag: whether it has to give our result.
STOCK = {
    "stock full refresh": ("full", True),
    "stock merge by load": ("merge_by_load", False),
}
# These cannot see what is older than their window. They have turns of their own, which spares disk.
LOOKBACK = {
    "stock merge with lookback": ("merge", False),
    "stock delete+insert with lookback": ("delete_insert", False),
    "stock microbatch with lookback": ("microbatch", False),
}


def measure(wish: Wish) -> Outcome:
    """Measure one day's change at each size of history, beside dbt's stock strategies."""
    sizes = {"full": (1_000_000, 5_000_000, 20_000_000), "quick": (100_000, 300_000), "tiny": (26_000, 52_000)}
    outcome, whole, same = Outcome(), [], []
    with own_platform() as ground, ExitStack() as ends:
        work = _Work(ground, ends)
        for rows in sizes[wish.size]:
            wish.say(f"  {rows:,} rows of history")
            work.grow(rows)
            # Behind a stock project of 20 million rows ours takes longer: growth is measured with nothing between.
            figures = work.alone(wish)
            whole.append(figures[0].seconds)
            same.append(figures[1].seconds)
            beside, not_run = take_turns(work.sides(STOCK), wish, before=work.add_day)
            figures += beside
            if wish.size != "quick":
                more, away = take_turns(work.sides(LOOKBACK), wish, before=work.add_day)
                figures += more[1:]  # ours was run beside them for the books alone
                not_run += away
            outcome.figures += [replace(figure, side=f"{figure.side}, {_short(rows)}") for figure in figures]
            outcome.not_run += not_run
            outcome.goals += _goals(beside, _short(rows))
    if wish.size == "quick":
        outcome.not_run += [NotRun(name, "takes minutes; without --quick it is measured") for name in LOOKBACK]
    first, last = _short(sizes[wish.size][0]), _short(sizes[wish.size][-1])
    outcome.goals[:0] = [
        Goal(f"{what}, {last} / {first} rows of history", times[-1] / times[0], 1.2, at_least=False)
        for what, times in (("whole build", whole), ("fact and daily totals", same))
    ]
    outcome.notes.append("beside the stock projects: dbt's own seconds of the fact and its daily totals, on every side")
    outcome.notes.append("a build looks back at most once an hour; the others do not")
    outcome.notes.append("the lookback strategies miss what settles late, so they need not be beaten, only named")
    return outcome


def _short(rows: int) -> str:
    return f"{rows / 1_000_000:g} M"


def _goals(figures: list[Figure], size: str) -> list[Goal]:
    ours = figures[0]
    return [
        Goal(f"{figure.side} / ours, {size}", figure.seconds / ours.seconds, 1.0)
        for figure in figures[1:]
        if figure.right
    ]


class _Work:
    """The history, our build and the stock projects on it."""

    def __init__(self, ground: Ground, ends: ExitStack) -> None:
        self._ground = ground
        self._db = ends.enter_context(connect(ground.env))
        self._db.execute("create schema bench; create schema bench_dbt")
        self._history = History(self._db)
        self._dbt = ends.enter_context(StockDbt(ground))
        ends.callback(_forget_workers)

    def grow(self, rows: int) -> None:
        """Bring the history to a size, and our marts to it."""
        self._forget_stock()
        self._history.grow(rows)
        _build(self._ground, full=True)
        _make_views(self._db)
        self._db.execute("vacuum analyze")

    def _forget_stock(self) -> None:
        for tag, _ in (*STOCK.values(), *LOOKBACK.values()):
            self._db.execute(f"drop table if exists bench_dbt.fact_{tag} cascade")

    def add_day(self) -> None:
        """Add one day's change."""
        self._history.add_day()
        self._db.execute("checkpoint")

    def alone(self, wish: Wish) -> list[Figure]:
        """Return ours with nothing between two builds: whole, the part that stock projects have, with three days."""
        wholes: list[Run] = []

        def build(lookback_days: int | None = None) -> Run:
            report, same = self._build(lookback_days)
            wholes.append(Run(report["seconds"], same.books, {"models": _seconds(report), "tests": report["tests"]}))
            return same

        (of_it,), _ = take_turns([Side(OF_IT, OURS, build)], wish, before=self.add_day)
        whole = sum_up(Side(ALONE, OURS, build), wholes[-wish.rounds :])
        if wish.size == "quick":
            return [whole, of_it]
        take_turns([Side(LOOKING_BACK, OURS, lambda: build(3))], wish, before=self.add_day)
        return [whole, of_it, sum_up(Side(LOOKING_BACK, OURS, build), wholes[-wish.rounds :])]

    def sides(self, strategies: Mapping[str, tuple[str, bool]]) -> list[Side]:
        """Return ours and stock strategies, each with a fact as far as ours is."""
        self._forget_stock()
        source = "bench.enriched"
        for tag, _ in strategies.values():
            fact = f"bench_dbt.fact_{tag}"
            if tag != "full":  # it makes its table anew each time
                self._db.execute(
                    f"create table {fact} as table {source}; create unique index on {fact} (transaction_id);"
                    f" create index on {fact} (occurred_at); create index on {fact} (load_id)"
                )
                source = fact
        self._db.execute("vacuum analyze")
        stock = [Side(name, PEER, self._stock(tag), is_right=right) for name, (tag, right) in strategies.items()]
        return [Side(SAME, OURS, self.build), *stock]

    def build(self) -> Run:
        """Build every mart; return what the fact and its daily totals took."""
        return self._build()[1]

    def _build(self, lookback_days: int | None = None) -> tuple[dict[str, Any], Run]:
        report = _build(self._ground, lookback_days=lookback_days)
        seconds = _seconds(report)
        same = seconds["fact_transactions"] + seconds["daily_revenue_totals"]
        return report, Run(same, read_gold(self._db, "marts.fact_transactions", DAILY))

    def _stock(self, tag: str) -> Callable[[], Run]:
        def run() -> Run:
            begun = time.perf_counter()
            models: dict[str, float] = ask()["models"]
            wall = time.perf_counter() - begun
            more = {"wall_seconds": round(wall, 3), "models": models}
            books = read_gold(self._db, f"bench_dbt.fact_{tag}", f"bench_dbt.daily_{tag}")
            return Run(sum(models.values()), books, more)

        def ask() -> dict[str, Any]:
            if tag != "microbatch":
                return self._dbt.run(f"tag:{tag}")
            # It counts from the clock unless it is told; the data's clock is the history's.
            first, last = self._history.days_ago(4), self._history.now
            return self._dbt.run(
                f"tag:{tag}", "--event-time-start", f"{first:%Y-%m-%d}", "--event-time-end", f"{last:%Y-%m-%d}"
            )

        return run


def _seconds(report: dict[str, Any]) -> dict[str, float]:
    return {model["name"]: model["seconds"] for model in report["models"]}


def _build(ground: Ground, *, full: bool = False, lookback_days: int | None = None) -> dict[str, Any]:
    """Build as the following loop does: by a dbt that is warm."""
    from transformation.build import run_build

    os.environ["TIEOUT_HOME"] = str(ground.handle.home)
    try:
        return run_build(full, lookback_days=lookback_days)
    finally:
        del os.environ["TIEOUT_HOME"]


def _forget_workers() -> None:
    """End the warm dbt of this platform: the platform is about to go."""
    from transformation.build import end_processes

    end_processes()


def _make_views(db: psycopg.Connection[Any]) -> None:
    """Let the stock projects begin with our own views, without what limits those to the loads of one build."""
    for schema, name, made in (
        ("staging", "stg_transactions", "stg_transactions"),
        ("intermediate", "int_transactions_enriched", "enriched"),
    ):
        row = db.execute(f"select pg_get_viewdef('{schema}.{name}'::regclass)").fetchone()
        assert row is not None  # noqa: S101  # the view is there
        text = re.sub(r"load_id <= \d+", "load_id <= 9223372036854775807", row[0])
        db.execute(
            f"create or replace view bench.{made} as "
            + text.replace("staging.stg_transactions", "bench.stg_transactions")
        )


HOP = Hop("gold", "seconds from silver to gold for one day's change, at growing history", measure, moves_rows=False)
