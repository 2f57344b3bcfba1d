"""Rows a second from bronze to a commit in silver, audit and totals with them."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from bench.frame import (
    LIMIT,
    OURS,
    PEER,
    Figure,
    Goal,
    Hop,
    NotRun,
    Outcome,
    Run,
    Side,
    UnavailableError,
    Wish,
    speed_ratio,
    take_turns,
)
from bench.ground import Ground, ask_peer, own_platform
from bench.jars import jdbc_driver
from bench.lake import make_lake
from bench.served import Served, served
from bench.silver_rows import TARGET, Silver, write_parquet
from core.layout import Layout
from core.settings import load_settings
from warehouse.load import run_loads

LOADER = "loader"
COPY = "COPY of the same rows as CSV"
PEERS = ("dlt", "Spark JDBC writer", "ADBC and INSERT")


def measure(wish: Wish) -> Outcome:
    """Measure the loader beside COPY and beside other loaders: fresh keys, then every twentieth key repeated."""
    payments = wish.of(400_000, 50_000, 1_500)
    outcome = Outcome()
    with own_platform() as ground, ExitStack() as ends:
        silver = Silver(ground.env)
        ends.callback(silver.close)
        driver = _driver()
        spark = ends.enter_context(_session(ground, driver))
        fresh = make_lake(ground, spark, "fresh", payments)
        repeats = make_lake(ground, spark, "repeats", payments, repeats=True)
        csv, plain, repeated = (ground.handle.home / name for name in ("rows.csv", "rows.parquet", "repeated.parquet"))
        _load(ground, fresh)
        silver.write_csv(csv)
        write_parquet(csv, silver.columns(), plain, repeated)
        jdbc = driver if isinstance(driver, UnavailableError) else spark
        for name, lake, file in (("fresh keys", fresh, plain), ("5 % repeated", repeats, repeated)):
            sides = _Sides(ground, silver, wish, jdbc, repeats=lake is repeats)
            figures, not_run = take_turns(
                sides.all(lake, csv, file), wish, warm_up=lake is fresh or wish.size == "full"
            )
            outcome.goals += _goals(figures, name, 0.5 if lake is repeats else 0.85)
            outcome.figures += [_named(figure, name) for figure in figures]
            outcome.not_run += [NotRun(f"{each.name}, {name}", each.reason) for each in not_run]
    outcome.notes.append("COPY, ADBC and INSERT and Spark's writer fill a table with silver's own keys and checks")
    outcome.notes.append("peers begin with the finished rows; the loader begins with the lake and judges every event")
    outcome.notes.append("COPY never sees a repeated key: it takes the rows that end up in silver")
    return outcome


class _Sides:
    """The sides of one variant."""

    def __init__(
        self, ground: Ground, silver: Silver, wish: Wish, jdbc: "Served | UnavailableError", *, repeats: bool
    ) -> None:
        self._ground, self._silver, self._wish, self._jdbc, self._repeats = ground, silver, wish, jdbc, repeats

    def all(self, lake: Layout, csv: Path, file: Path) -> list[Side]:
        """Return ours, the limit and the peers."""
        return [
            Side(LOADER, OURS, self._clean("raw.transactions", lambda: _load(self._ground, lake))),
            Side(COPY, LIMIT, self._clean(TARGET, lambda: _timed(partial(self._silver.copy_csv, csv)))),
            Side("dlt", PEER, self._clean("bench_dlt.silver", lambda: self._dlt(file)), note=self._dlt_note),
            Side("Spark JDBC writer", PEER, self._clean(TARGET, lambda: self._spark(file))),
            Side("ADBC and INSERT", PEER, self._clean(TARGET, lambda: self._adbc(file))),
        ]

    def _clean(self, table: str, work: Callable[[], float]) -> Callable[[], Run]:
        def run() -> Run:
            self._silver.empty()
            seconds = work()
            return Run(seconds, self._silver.books(table))

        return run

    @property
    def _dlt_note(self) -> str:
        return "merge by key" if self._repeats else "append, to a table without keys"

    def _dlt(self, file: Path) -> float:
        return self._peer("dlt_load.py", {"file": str(file), "uri": self._uri, "repeats": self._repeats})

    def _adbc(self, file: Path) -> float:
        columns = self._silver.columns()
        return self._peer("adbc_load.py", {"file": str(file), "uri": self._uri, "table": TARGET, "columns": columns})

    def _peer(self, script: str, words: dict[str, Any]) -> float:
        return float(ask_peer(self._wish.peers(), script, words)["seconds"])

    def _spark(self, file: Path) -> float:
        if isinstance(self._jdbc, UnavailableError):
            raise self._jdbc
        env = self._ground.env
        answer = self._jdbc.ask(
            do="jdbc",
            file=str(file),
            table=TARGET,
            url=f"jdbc:postgresql://{env['POSTGRES_HOST']}:{env['POSTGRES_PORT']}/{env['POSTGRES_DB']}",
            user="postgres",
            password=env["POSTGRES_PASSWORD_POSTGRES"],
            repeats=self._repeats,
        )
        return float(answer["seconds"])

    @property
    def _uri(self) -> str:
        parts = conninfo_to_dict(self._silver.url)
        return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parts)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _load(ground: Ground, lake: Layout) -> float:
    settings = load_settings(ground.layout)
    return _timed(lambda: run_loads(settings, lake, say=lambda _: None))


def _driver() -> "str | UnavailableError":
    try:
        return str(jdbc_driver())
    except UnavailableError as error:
        return error


def _session(ground: Ground, driver: "str | UnavailableError") -> AbstractContextManager[Served]:
    first = {"driver": driver} if isinstance(driver, str) else {}
    return served([sys.executable, "-P", "-m", "bench.sides.spark_session"], first, environment(ground))


def environment(ground: Ground) -> dict[str, str]:
    """Return the environment of a process that works on the ground."""
    import os

    return {**os.environ, "TIEOUT_HOME": str(ground.handle.home)}


def _named(figure: Figure, variant: str) -> Figure:
    from dataclasses import replace

    return replace(figure, side=f"{figure.side}, {variant}")


def _goals(figures: list[Figure], variant: str, of_copy: float) -> list[Goal]:
    goals = [Goal(f"loader / COPY, {variant}", speed_ratio(figures, LOADER, COPY), of_copy)]
    return goals + [Goal(f"loader / {peer}, {variant}", speed_ratio(figures, LOADER, peer), 2.0) for peer in PEERS]


HOP = Hop("silver", "rows a second from bronze to a commit in silver, audit and totals with them", measure)
