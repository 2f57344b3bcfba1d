"""Wall time from a full topic to proven marts."""

import json
import shutil
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

from bench.feed import words
from bench.frame import OURS, PEER, BenchError, Books, Goal, Hop, Outcome, Run, Side, Wish, take_turns
from bench.ground import GONE, Ground, ask, own_platform
from bench.jars import jdbc_driver
from bench.readback import DAILY, read_gold
from bench.silver_rows import connect
from bench.stock_dbt import StockDbt
from contracts.entities import load_entity
from contracts.model import PAYMENTS

RUN = "tieout run"
STOCK = "Spark Parquet sink, Spark JDBC, stock dbt merge"

FEW_PAYMENTS = 200_000


def measure(wish: Wish) -> Outcome:
    """Drain the same events from the broker to marts, on a new platform each round."""
    payments = wish.of(800_000, 30_000, 1_500)
    once = wish if wish.size == "full" else replace(wish, size="tiny")  # a platform a round takes its time
    with _Grounds(payments) as grounds:
        sides = [Side(RUN, OURS, grounds.ours), Side(STOCK, PEER, grounds.stock)]
        figures, not_run = take_turns(sides, once, before=grounds.renew, warm_up=False)
    outcome = Outcome(figures, not_run=not_run)
    by_name = {figure.side: figure for figure in figures}
    ratio = by_name[RUN].seconds / by_name[STOCK].seconds if STOCK in by_name else None
    outcome.goals.append(Goal("tieout run / stock parts, seconds", ratio, 0.5, at_least=False))
    peaks = {who: max(each["peaks_mib"][who] for each in by_name[RUN].details) for who in ("java", "python")}
    outcome.goals.append(Goal("memory of the JVM at its peak", peaks["java"], 2048, at_least=False, unit="MiB"))
    outcome.goals.append(Goal("memory of loader at its peak", peaks["python"], 600, at_least=False, unit="MiB"))
    outcome.notes.append("ours ends with the proof and every mart; the stock parts end with a fact and one summary")
    outcome.notes.append("both start a Spark and a dbt of their own, and those starts count")
    return outcome


class _Grounds(AbstractContextManager["_Grounds"]):
    """A new platform with a full topic for each round."""

    def __init__(self, payments: int) -> None:
        self._payments = payments
        self._ends = ExitStack()
        self._ground: Ground | None = None

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def renew(self) -> None:
        """Go to another platform and fill its topic."""
        self._ends.close()
        self._ground = self._ends.enter_context(own_platform())
        self._ground.tieout("produce", *words(self._payments))

    @property
    def ground(self) -> Ground:
        """The platform of this round."""
        if self._ground is None:
            raise BenchError("there is no platform yet.", GONE, "report this")
        return self._ground

    def ours(self) -> Run:
        """Run the pipeline once."""
        peaks: dict[str, int] = {}
        begun = time.perf_counter()
        found = json.loads(self.ground.tieout("run", "--json", peaks=peaks))
        seconds = time.perf_counter() - begun
        if not found["ok"]:
            raise BenchError("the run did not end in a proof that ties out.", GONE, "run the hop alone")
        steps = {step["name"]: step["seconds"] for step in found["steps"]}
        return Run(seconds, self._books("marts.fact_transactions", DAILY), {"peaks_mib": peaks, "steps": steps})

    def stock(self) -> Run:
        """Do the same with stock parts."""
        env = self.ground.env
        driver = jdbc_driver()
        with connect(env) as db:
            db.execute("create schema bench")
            columns = ", ".join(field.stored_as for field in load_entity(PAYMENTS).fields)
            db.execute(f"create table bench.silver as select {columns}, known_at from raw.transactions limit 0")  # noqa: S608
        home = tempfile.mkdtemp(dir=self.ground.handle.home)
        told: dict[str, Any] = {
            "driver": str(driver),
            "home": home,
            "url": f"jdbc:postgresql://{env['POSTGRES_HOST']}:{env['POSTGRES_PORT']}/{env['POSTGRES_DB']}",
            "user": "postgres",
            "password": env["POSTGRES_PASSWORD_POSTGRES"],
            "table": "bench.silver",
        }
        begun = time.perf_counter()
        # Its own work is all in Java: for a large backlog both compilers are quicker than the quick one alone.
        java = "-XX:TieredStopAtLevel=1" if self._payments <= FEW_PAYMENTS else "-XX:+TieredCompilation"
        environment = {"TIEOUT_HOME": str(self.ground.handle.home), "SPARK_JAVA_OPTIONS": java}
        ask("bench.sides.spark_stock", told, environment=environment)
        with StockDbt(self.ground) as dbt:
            dbt.run("tag:drain")
        seconds = time.perf_counter() - begun
        shutil.rmtree(home)
        return Run(seconds, self._books("bench_dbt.fact_drain", "bench_dbt.daily_drain"))

    def _books(self, fact: str, daily: str) -> Books:
        with connect(self.ground.env) as db:
            return read_gold(db, fact, daily)


HOP = Hop("drain", "wall time from a full topic to proven marts", measure, moves_rows=False)
