"""A folder of chunks for tests, a watcher over it whose rows are read by Python's own csv, and what it has found."""

import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.layout import find_layout
from core.places import LocalPlace
from core.settings import parse_settings
from patterns.chunk_names import chunk_name
from patterns.chunker import Clock
from patterns.ledger import Watch, begin_watch, ledger_of, same_watch
from patterns.place import Folder
from patterns.rules import Rules, load_rules
from patterns.watcher import Patience, Watcher
from patterns.weights import WeightSum, make_weights

HEADER = "step,customer,age,gender,zipcodeOri,merchant,zipMerchant,category,amount,fraud"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SMALL = {"share": Decimal("0.2"), "merchant_above": 10, "child_at_least": 3, "females_above": 1}
# What a watcher of a test finds within one look.
NOW = Patience(timedelta(0), timedelta(hours=1), is_once=True)


class CsvReader:
    """Reads a chunk as Spark does, for rows that are whole."""

    def read_chunk(self, data: bytes, _: tuple[str, ...]) -> pa.Table:
        rows = list(csv.DictReader(io.StringIO(data.decode())))
        found: dict[str, Any] = {"row": pa.array(range(len(rows)), pa.int64())}
        found["step"] = pa.array([int(row["step"]) for row in rows], pa.int32())
        for name in ("customer", "gender", "merchant", "category"):
            found[name] = pa.array([row[name].strip("'") for row in rows], pa.string())
        amounts = [Decimal(row["amount"]) if re.fullmatch("[0-9.]+", row["amount"]) else None for row in rows]
        found["amount"] = pa.array(amounts, pa.decimal128(18, 4))
        found["reasons"] = pa.array(["" if each is not None else "AMOUNT_NO_NUMBER" for each in amounts], pa.string())
        return pa.table(found)


def line(customer: str, merchant: str = "M1", amount: str = "1.00", gender: str = "F") -> str:
    return f"0,'{customer}','2','{gender}','28007','{merchant}','28007','es_food',{amount},0"


def text_of(rows: list[str]) -> str:
    return "\n".join([HEADER, *rows, ""])


def put(folder: Path, number: int, first_row: int, rows: list[str], minute: int = 0) -> Path:
    """Write a chunk as R1's own X does, without a claim."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / chunk_name(number, first_row, AT + timedelta(minutes=minute))
    path.write_text(text_of(rows))
    return path


def rules(**changed: Any) -> Rules:
    return Rules(**{**vars(load_rules()), **SMALL, **changed})


class Looked:
    """A watcher of a test: looks at what is there, and tells what the database has."""

    def __init__(self, connection: Any, watch: Watch, folder: Path) -> None:
        self._connection, self.watch, self._folder = connection, watch, folder
        self.said: list[str] = []
        self.ahead = 0.0

    def look(self, patience: Patience = NOW, on_done: Callable[[Any], None] = lambda _: None) -> bool:
        """Read what is there with a process's fresh memory."""
        return self.watcher(patience, on_done).run()

    def watcher(self, patience: Patience = NOW, on_done: Callable[[Any], None] = lambda _: None) -> Watcher:
        return Watcher(
            self._connection,
            self.watch,
            CsvReader(),
            source=Folder(LocalPlace(self._folder.parent), self._folder.name),
            target=Folder(LocalPlace(self._folder.parent), "detections"),
            patience=patience,
            clock=Clock(lambda: time.time() + self.ahead, lambda _: True),
            say=self.said.append,
            told=on_done,
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The query's %s is the watch."""
        found: list[tuple[Any, ...]] = self._connection.execute(query, [self.watch.watch_id]).fetchall()
        return found

    @property
    def chunks(self) -> list[tuple[Any, ...]]:
        return self.rows("select number, rows, refused from patterns.chunks where watch_id = %s order by number")

    @property
    def findings(self) -> list[tuple[Any, ...]]:
        return self.rows("select kind, subject, settled_at is not null from patterns.findings where watch_id = %s")

    @property
    def detections(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select pattern, merchant, customer, chunk from patterns.detections where watch_id = %s order by sequence"
        )


@contextmanager
def looking(env: Mapping[str, str], folder: Path, name: str, asked: Rules | None = None) -> Iterator[Looked]:
    """Yield a watcher of a folder; its weights are the same for every customer but C0, who has least, and C9, none."""
    layout = find_layout({"TIEOUT_HOME": env["TIEOUT_HOME"]})
    wanted = Watch(0, name, str(folder), str(folder.parent / "detections"), asked or rules(), "sha", AT)
    sums = [WeightSum(f"C{i}", m, "food", Decimal(min(i, 1)), 1) for i in range(9) for m in ("M1", "M2")]
    with ledger_of(parse_settings(env, layout)) as connection:
        watch = same_watch(connection, wanted) or begin_watch(
            connection, wanted, make_weights(sums, wanted.rules.weight), {}
        )
        yield Looked(connection, watch, folder)
