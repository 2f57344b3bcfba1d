"""What the stream reads of its tables' own log, without Spark."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.lake import Lake
from core.places import LocalPlace
from spark_streaming import tables
from spark_streaming.ends import Recorded, commit_metadata
from spark_streaming.tables import StreamTable


class Log:
    """A table's log, written by hand.

    Attributes:
        table: the table.
        folder: its log.
    """

    def __init__(self, folder: Path) -> None:
        table = Lake(LocalPlace(folder.parent)).table(folder.name)
        self.table = StreamTable("bronze", table, pa.schema([]), (), load_entity(PAYMENTS))
        self.folder = folder / "_delta_log"
        self.folder.mkdir()

    def commit(self, version: int, end: int | None = None) -> None:
        """Write a commit of ours that ends there; None: somebody else's, such as compaction."""
        info = {} if end is None else {"userMetadata": commit_metadata("t", "id", {0: 0}, {0: end}, end)}
        lines = [json.dumps({"commitInfo": {"operation": "WRITE", **info}}), json.dumps({"add": {"path": "x"}})]
        (self.folder / f"{version:020}.json").write_text("\n".join(lines), encoding="utf-8")

    def hint(self, text: str) -> None:
        """Write what names the last checkpoint."""
        (self.folder / "_last_checkpoint").write_text(text, encoding="utf-8")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def recorded(log: Log, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    monkeypatch.setattr(tables, "_highest_offsets", lambda *_: Recorded("from the rows"))
    return tables.recorded(log.table)


@pytest.mark.parametrize("hint", [None, "", "{", "[]", '{"version": null}', '{"version": 4}', '{"version": 900}'])
def test_the_newest_commit_of_ours_counts_whatever_the_hint_says(log, monkeypatch, hint):
    for version in range(3, 8):
        log.commit(version, 10 * version)
    log.commit(8)
    (log.folder / "00000000000000000003.00000000000000000009.compacted.json").write_text("{}", encoding="utf-8")
    if hint is not None:
        log.hint(hint)
    assert recorded(log, monkeypatch) == Recorded("id", {0: 70})


def test_a_log_without_a_commit_of_ours_sends_to_the_rows(log, monkeypatch):
    assert recorded(log, monkeypatch).topic_id == "from the rows"
    log.commit(0)
    assert recorded(log, monkeypatch).topic_id == "from the rows"


def test_a_table_that_was_only_made_is_not_asked_for_rows(log, monkeypatch):
    made = json.dumps({"commitInfo": {"operation": "CREATE TABLE"}}) + "\n" + json.dumps({"metaData": {}})
    (log.folder / f"{0:020}.json").write_text(made, encoding="utf-8")
    assert recorded(log, monkeypatch) == Recorded()
    log.commit(1)  # somebody else's rows
    assert recorded(log, monkeypatch).topic_id == "from the rows"


def test_a_hint_behind_the_log_that_was_cleaned_is_passed_over(log, monkeypatch):
    log.hint('{"version": 1}')
    log.commit(5, 50)
    assert recorded(log, monkeypatch) == Recorded("id", {0: 50})
