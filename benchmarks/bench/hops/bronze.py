"""Rows a second drained from Kafka to bronze and dead letters."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.feed import words
from bench.frame import (
    LIMIT,
    OURS,
    PEER,
    BenchError,
    Books,
    Goal,
    Hop,
    Outcome,
    Run,
    Side,
    Wish,
    speed_ratio,
    take_turns,
)
from bench.ground import GONE, Ground, ask_peer, own_platform
from bench.hops.silver import environment
from bench.readback import TOPIC, login
from bench.served import Served, served
from contracts.entities import load_entity
from contracts.model import PAYMENTS

STREAM = "stream"
NOWHERE = "the same session, read and classified to nowhere"
LOOP = "confluent-kafka, msgspec, Arrow, delta-rs"
BROKEN = "0.02"


def measure(wish: Wish) -> Outcome:
    """Measure the stream beside its own session without a lake, and beside a loop without Spark."""
    payments = wish.of(500_000, 100_000, 2_000)
    outcome = Outcome()
    with own_platform() as ground:
        ground.tieout("produce", *words(payments, BROKEN))
        command = [sys.executable, "-P", "-m", "bench.sides.spark_session"]
        with served(command, {}, environment(ground)) as session:
            sides = _Sides(ground, wish, session)
            outcome.figures, outcome.not_run = take_turns(sides.all(), wish)
            outcome.notes.append(f"dead letters on every side: {sides.dead}")
    figures = outcome.figures
    outcome.goals = [
        Goal("stream / read and classified to nowhere", speed_ratio(figures, STREAM, NOWHERE), 0.6),
        Goal("stream / delta-rs loop", speed_ratio(figures, STREAM, LOOP), 1.0),
    ]
    return outcome


class _Sides:
    """The sides; each round's lake is in a folder of its own and gone behind it."""

    def __init__(self, ground: Ground, wish: Wish, session: Served) -> None:
        self._ground, self._wish, self._session = ground, wish, session
        found = session.ask(do="books", home="")
        amounts = {currency: Decimal(amount) for currency, amount in found["amounts"].items()}
        self._classified = Books(found["count"], amounts)
        self.dead = int(found["dead"])

    def all(self) -> list[Side]:
        """Return ours, the limit and the peer."""
        return [
            Side(STREAM, OURS, self._run(lambda home: self._session.ask(do="lake", home=home), lake="data")),
            Side(NOWHERE, LIMIT, self._run(lambda home: self._session.ask(do="nowhere", home=home))),
            Side(LOOP, PEER, self._run(self._loop, lake=".")),
        ]

    def _run(self, work: Callable[[str], dict[str, Any]], lake: str = "") -> Callable[[], Run]:
        def run() -> Run:
            home = Path(tempfile.mkdtemp(dir=self._ground.handle.home))
            try:
                answer = work(str(home))
                books = self._in_lake(home / lake) if lake else self._whole(answer["rows"])
            finally:
                shutil.rmtree(home)
            return Run(answer["seconds"], books)

        return run

    def _whole(self, rows: int) -> Books:
        """Return the books of a drain that wrote nothing: all rows went through, and what they give was counted."""
        if rows != self._classified.count + self.dead:
            raise BenchError(f"{rows} rows were read of {self._classified.count + self.dead}.", GONE, "run it again")
        return self._classified

    def _in_lake(self, data: Path) -> Books:
        """Return count and sums of bronze; the dead letters must be as many as they are."""
        from deltalake import DeltaTable

        dead = DeltaTable(str(data / "dead_letter_queue")).to_pyarrow_table(columns=["offset"]).num_rows
        rows = DeltaTable(str(data / "raw_transactions")).to_pyarrow_table(columns=["currency", "amount"])
        if dead != self.dead:
            raise BenchError(f"{dead} dead letters, and {self.dead} were expected.", GONE, "look at the side's rules")
        sums = rows.group_by("currency").aggregate([("amount", "sum")]).to_pylist()
        return Books(rows.num_rows, {row["currency"]: row["amount_sum"] for row in sums})

    def _loop(self, home: str) -> dict[str, Any]:
        entity = load_entity(PAYMENTS)
        told = {
            "home": home,
            "login": login(self._ground.env, "stream"),
            "topic": TOPIC,
            "topic_id": "bench",
            "fields": [(field.name, field.type, field.structural) for field in entity.fields],
            "stored": {field.name: field.stored_as for field in entity.fields},
            "digits": dict(entity.currencies),
            "unknown_digits": entity.platform.unknown_currency_digits,
            "integer_digits": entity.platform.amount_integer_digits,
            "max_bytes": entity.platform.max_value_bytes,
        }
        return ask_peer(self._wish.peers(), "delta_rs.py", told)


HOP = Hop("bronze", "rows a second drained from Kafka to bronze and dead letters, 2 % broken", measure)
