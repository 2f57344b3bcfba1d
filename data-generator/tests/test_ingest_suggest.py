# ruff: noqa: E501  (a case a line)
"""A guessed mapping is a start: it is valid YAML, finds format, columns, signs and times, and marks what to look at."""

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from ingest_files import GOOD, HEADER, read_file

from core.layout import CHECKOUT
from core.settings import Settings
from data_generator.ingest.errors import SourceError
from data_generator.ingest.follow import QUIET_SECONDS, Arrivals
from data_generator.ingest.mapping import read_mapping
from data_generator.ingest.source import Source
from data_generator.ingest.sources import Item, find_items
from data_generator.ingest.suggest import suggest

SAMPLES = CHECKOUT / "data" / "samples"


def test_a_suggestion_for_a_plain_file_reads_it_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    header = HEADER.replace("at\n", "created\n").replace("shop", "merchant")
    file.write_text(header + GOOD, encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(suggest(Source(file, "export.csv")), encoding="utf-8")
    found = read_file(Source(file, "export.csv"), read_mapping(own))
    assert [json.loads(value, parse_float=Decimal)["amount"] for value in found.sent] == [Decimal("10.50"), 7]
    assert found.refused == []


@pytest.mark.parametrize(
    ("file", "field", "stated"),
    [
        ("files/banksim.csv", "transaction_id", "hash_of"),
        ("files/banksim.csv", "is_fraud", {"column": "fraud", "map": {"0": False, "1": True}}),
        ("files/daily_batch.csv", "status", {"column": "status", "map": {"failed": "FAILED", "success": "SUCCESS"}}),
        ("fraudTrain_33k.csv.gz", "timestamp", "written"),
        ("statements/card_transactions.csv", "amount", {"column": "amount", "written": {"symbols": ["$"]}}),
        ("statements/card_transactions.csv", "status", "expression"),
        ("statements/spreadsheet_amounts.csv", "amount", {"column": "amount", "written": {"symbols": ["$"], "negative": "parentheses"}}),
    ],
)  # fmt: skip
def test_samples_are_recognised(file: str, field: str, stated: object) -> None:
    text = suggest(Source(SAMPLES / file, file))
    held = yaml.safe_load(text)
    assert "CHECK" in text
    assert held["fields"][field] == stated or stated in held["fields"][field]


def test_another_form_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "bank.csv"
    rows = "Nr;Kunde;Betrag;Datum\n1;a;1.234,50;31.12.2024\n2;b;-7,00;01.02.2024\n"
    file.write_bytes(rows.replace("Kunde", "Käufer").encode("cp1252"))
    held = yaml.safe_load(suggest(Source(file, "bank.csv")))
    assert held["csv"] == {"delimiter": ";", "encoding": "cp1252"}
    assert held["fields"]["amount"] == {"column": "Betrag", "written": {"decimal": ",", "group": "."}}


def test_json_and_parquet_are_recognised(tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    lines.write_text('{"id": "a", "amount": 1.5, "created_at": "2024-05-01T10:00:00Z"}\n', encoding="utf-8")
    held = yaml.safe_load(suggest(Source(lines, "events.jsonl")))
    assert (held["format"], held["fields"]["transaction_id"]) == ("json-lines", {"column": "id"})
    table = tmp_path / "events.parquet"
    pq.write_table(pa.table({"id": ["a"], "amount": [Decimal("1.50")]}), table)
    held = yaml.safe_load(suggest(Source(table, "events.parquet")))
    assert (held["format"], held["fields"]["amount"]) == ("parquet", {"column": "amount"})


def test_an_empty_file_has_nothing_to_guess_from(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("id,amount\n", encoding="utf-8")
    with pytest.raises(SourceError, match="no rows to guess from"):
        suggest(Source(tmp_path / "empty.csv", "empty.csv"))


def test_a_folder_or_pattern_means_its_finished_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.csv.part"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "inner").mkdir()
    both = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert [each.name for each in find_items([str(tmp_path)], Settings())] == both
    assert [each.name for each in find_items([str(tmp_path / "*.csv"), both[0]], Settings())] == both
    for nothing in (tmp_path / "*.json", tmp_path / "inner"):
        with pytest.raises(SourceError, match="it has no file"):
            find_items([str(nothing)], Settings())
        assert find_items([str(nothing)], Settings(), may_be_none=True) == []


def test_a_followed_file_is_taken_once_it_is_whole_and_again_when_it_changed(tmp_path: Path) -> None:
    now = [1_000.0]
    arrivals = Arrivals(clock=lambda: now[0], now=lambda: now[0])

    def item(size: int, written: float) -> Item:
        return Item("a.csv", Path("a.csv"), version=(size, int(written * 1e9)))

    assert arrivals.whole([item(1, 1_000)]) == []  # just written
    now[0] += 4
    assert arrivals.whole([item(2, 1_004)]) == []  # still being written
    now[0] += QUIET_SECONDS
    assert arrivals.whole([item(2, 1_004)]) == [item(2, 1_004)]
    arrivals.take(item(2, 1_004))
    assert arrivals.whole([item(2, 1_004)]) == []
    assert arrivals.whole([item(3, 900)]) == [item(3, 900)]  # renamed over it, written long ago
    far = item(4, 99_999)  # a clock that goes wrong
    assert arrivals.whole([far]) == []
    now[0] += QUIET_SECONDS
    assert arrivals.whole([far]) == [far]
