"""Daily batches: made the same again, cleaned with every row counted, missing days named."""

import csv
import io
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from core.errors import OptionError
from core.layout import find_layout
from data_generator.batch.clean import clean
from data_generator.batch.files import TRANSACTIONS, BatchError, BatchFiles, MissingBatchError
from data_generator.batch.generate import generate

DAY = date(2026, 2, 28)


@pytest.fixture
def files(tmp_path: Path) -> BatchFiles:
    return BatchFiles(replace(find_layout(), home=tmp_path))


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text())))


def test_a_day_is_made_the_same_again_and_only_once(files: BatchFiles) -> None:
    written = generate(files, DAY)
    assert [file.relative_to(files.raw).as_posix() for file in written] == [
        "customers.csv", "channels.csv", "cities.csv", "daily-batch.yaml", "2026/02/28/transactions.csv",
    ]  # fmt: skip
    before = {file: file.read_bytes() for file in written}
    assert generate(files, DAY) == []
    files.transactions(DAY).unlink()
    assert generate(files, DAY) == [files.transactions(DAY)]
    assert {file: file.read_bytes() for file in written} == before
    rows = rows_of(files.transactions(DAY))
    assert len(rows) == 500
    assert [row["transaction_id"] for row in rows[::499]] == ["T2026022800001", "T2026022800500"]
    assert all(10 <= Decimal(row["amount"]) <= 1000 for row in rows)
    assert all(Decimal("0.5") <= Decimal(row["processing_time"]) <= 5 for row in rows)
    assert 410 < sum(row["status"] == "success" for row in rows) < 490
    assert len(rows_of(files.dimension("customers"))) == 1_000
    generate(files, date(2026, 3, 1))
    assert files.transactions(date(2026, 3, 1)).read_bytes() != before[files.transactions(DAY)]


def test_another_batch_of_a_day_does_not_replace_the_one_there_is(files: BatchFiles) -> None:
    generate(files, DAY)
    before = files.transactions(DAY).read_bytes()
    with pytest.raises(BatchError, match="is there already with other payments"):
        generate(files, DAY, seed=1)
    assert files.transactions(DAY).read_bytes() == before


@pytest.mark.parametrize("rows", [0, 100_000])
def test_a_number_of_rows_that_ids_have_no_place_for_is_refused(files: BatchFiles, rows: int) -> None:
    with pytest.raises(OptionError, match="--rows"):
        generate(files, DAY, rows)


def test_a_cleaned_day_is_the_file_with_what_the_dimensions_say(files: BatchFiles) -> None:
    generate(files, DAY)
    made = clean(files, DAY)
    raw = rows_of(files.transactions(DAY))
    table = pq.read_table(made.file).to_pylist()
    assert (made.read, made.kept, made.dropped) == (500, 500, Counter())
    assert made.amount == sum(Decimal(row["amount"]) for row in raw)
    assert made.revenue == sum(Decimal(row["amount"]) for row in raw if row["status"] == "success")
    segments = {row["customer_key"]: row["segment"] for row in rows_of(files.dimension("customers"))}
    for row, kept in zip(raw, table, strict=True):
        assert kept["amount"] == Decimal(row["amount"])
        assert kept["revenue"] == (kept["amount"] if row["status"] == "success" else 0)
        assert kept["segment"] == segments[row["customer_key"]]
        assert kept["delay_bucket"] == (
            "fast" if float(row["processing_time"]) < 1 else "medium" if float(row["processing_time"]) < 3 else "slow"
        )
    assert all(kept["fee_revenue"] == 0 for kept in table if kept["status"] == "failed")
    before = made.file.read_bytes()
    assert clean(files, DAY).file.read_bytes() == before


def put(files: BatchFiles, *rows: dict[str, Any]) -> None:
    sound = dict(zip(TRANSACTIONS, ("T1", "20260228", "1", "1", "1", "100.10", "success", "1.5"), strict=True))
    text = io.StringIO()
    writer = csv.DictWriter(text, TRANSACTIONS)
    writer.writeheader()
    writer.writerows({**sound, **row} for row in rows)
    files.transactions(DAY).write_text(text.getvalue())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"transaction_id": " "}, "id missing"),
        ({"transaction_id": "T0"}, "duplicate"),
        ({"date_key": "20260227"}, "of another day"),
        ({"amount": "1,5"}, "amount unreadable"),
        ({"amount": "1.505"}, "amount unreadable"),
        ({"amount": "\u0661"}, "amount unreadable"),
        ({"amount": "-1.50"}, "amount not positive"),
        ({"amount": "0.00"}, "amount not positive"),
        ({"status": "SUCCESS"}, "status unknown"),
        ({"processing_time": "-1"}, "processing time unreadable"),
        ({"customer_key": "1001"}, "customer unknown"),
        ({"channel_key": "0"}, "channel unknown"),
        ({"city_key": ""}, "city unknown"),
    ],
)
def test_a_row_that_can_be_no_payment_is_left_out_and_counted(
    files: BatchFiles, change: dict[str, str], reason: str
) -> None:
    generate(files, DAY)
    put(files, {"transaction_id": "T0"}, change, {"transaction_id": "T2", "status": "failed"})
    made = clean(files, DAY)
    assert (made.read, made.kept, dict(made.dropped)) == (3, 2, {reason: 1})
    assert (made.amount, made.revenue) == (Decimal("200.20"), Decimal("100.10"))
    assert pq.read_table(made.file)["transaction_id"].to_pylist() == ["T0", "T2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the columns are none"),
        ("transaction_id,amount\n", "line 1: the columns are transaction_id,amount"),
        (",".join(TRANSACTIONS) + "\nT1,20260228,1,1,1,100.10,success\n", "line 2: 7 values"),
        (",".join(TRANSACTIONS) + '\nT1,20260228,1,1,1,100.10,success,"1.5\n', "cannot be read"),
        (",".join(TRANSACTIONS) + "\nT1,20260228,1,1,1,100.10,succ\xe9ss,1.5\n", "cannot be read"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line_and_nothing_is_written(
    files: BatchFiles, text: str, said: str
) -> None:
    generate(files, DAY)
    files.transactions(DAY).write_bytes(text.encode("latin-1"))
    with pytest.raises(BatchError, match=said):
        clean(files, DAY)
    assert not files.cleaned(DAY).exists()


def test_a_missing_day_is_named_with_the_command_that_makes_it(files: BatchFiles) -> None:
    for day in (26, 28):
        generate(files, date(2026, 2, day))
    files.raw.joinpath("2026/02/31").mkdir()
    files.raw.joinpath("2026/02/31/transactions.csv").touch()
    assert files.days() == [date(2026, 2, 26), date(2026, 2, 28)]
    assert files.missing(date(2026, 3, 1)) == [date(2026, 2, 27), date(2026, 3, 1)]
    assert files.missing(date(2026, 2, 25)) == []
    with pytest.raises(MissingBatchError, match="no batch of 2026-02-27") as raised:
        clean(files, date(2026, 2, 27))
    assert "./scripts/tieout batch generate --date 2026-02-27" in raised.value.next
