# ruff: noqa: E501, RUF001  (a case a line; signs of other scripts are the point)
"""Mappings: what their YAML may state, and how amounts, times, expressions and ids are made of a row."""

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_files import GOOD, HEADER, read, read_file, write_mapping

from core.layout import CHECKOUT
from data_generator.ingest.amounts import AmountForm, AmountReader, units_of
from data_generator.ingest.csv_reader import CsvRows
from data_generator.ingest.errors import MappingError, SourceError
from data_generator.ingest.expressions import Expression, ExpressionError
from data_generator.ingest.forms import CsvForm
from data_generator.ingest.mapping import find_mapping, mapping_files, read_mapping
from data_generator.ingest.row_ids import RowIds
from data_generator.ingest.sketch import Sketch, shared_percent
from data_generator.ingest.source import Source
from data_generator.ingest.times import TimeForm, TimeReader, WrongTimeError

SAMPLES = CHECKOUT / "data" / "samples"


def test_every_shipped_mapping_reads_its_sample_to_the_last_cent() -> None:
    samples = {
        "banksim": ("files/banksim.csv", 200, {"EUR": "6296.04"}),
        "card-bank": ("statements/card_transactions.csv", 100, {"USD": "5729.27"}),
        "card-fraud": ("fraudTrain_33k.csv.gz", 33_433, {"USD": "2354311.32"}),
        "daily-batch": ("files/daily_batch.csv", 100, {"INR": "51591.19"}),
        "stripe-balance": ("files/stripe_balance.csv", 4, {"USD": "129.99", "EUR": "45.50", "JPY": "1500"}),
    }
    assert set(samples) == set(mapping_files())
    for name, (file, rows, sums) in samples.items():
        found = read_file(Source(SAMPLES / file, file), find_mapping(name))
        assert (name, len(found.sent), found.refused) == (name, rows, [])
        events = [json.loads(value, parse_float=Decimal, parse_int=Decimal) for value in found.sent]
        for currency, amount in sums.items():
            assert sum(each["amount"] for each in events if each["currency"] == currency) == Decimal(amount)
        assert len({each["transaction_id"] for each in events}) == rows


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("about: a\nformat: excel\nfields: {}\n", 2, "format: "),
        ("about: a\nfields:\n  amont: {column: a}\n", 3, "have no field amont"),
        ("about: a\nfields:\n  amount: {colum: a}\n", 3, "there is no such key"),
        ("about: a\nfields:\n  amount: {column: a, constant: b}\n", 3, "column, constant are named"),
        ("about: a\nfields:\n  amount: {}\n", 3, "nothing is named"),
        ("about: a\nfields:\n  amount: {column: a}\n", 3, "transaction_id comes from nowhere"),
        ("about: a\nfields:\n  status: {constant: Paid}\n", 3, "Paid is no value of status"),
        ("about: a\nfields:\n  status: {column: s, map: {ok: Paid}}\n", 3, "Paid is no value of status"),
        ("about: a\nfields:\n  currency: {constant: EURO}\n", 3, "EURO is no value of currency"),
        ("about: a\nfields:\n  is_fraud: {constant: 'false'}\n", 3, "is_fraud is true or false"),
        ("about: a\nfields:\n  city: {expression: 'x.y()'}\n", 3, "there is no function x.y"),
        ("about: a\nfields:\n  city: {column: c, written: {zone: UTC}}\n", 3, "neither an amount nor a time"),
        ("about: a\nfields:\n  timestamp: {column: t, written: {format: '%Y-%m-%d'}}\n", 3, "the zone is missing"),
        ("about: a\nfields:\n  timestamp: {column: t, written: {format: '%H:%M', zone: UTC}}\n", 3, "year, month and day"),
        ("about: a\nfields:\n  timestamp: {column: t, written: {zone: Mars/Base}}\n", 3, "Mars/Base is no zone"),
        ("about: a\nfields:\n  amount: {column: a, written: {decimal: '.', group: '.'}}\n", 3, "different signs"),
        ("about: a\nfields:\n  city: {hash_of: [a]}\n", 3, "hash_of makes ids"),
        ("about: a\nfields:\n  city: {lookup: {file: none.json, key: a}}\n", 0, "comes from nowhere|No such file"),
        ("about: a\ncsv: {delimiter: ab}\nfields: {}\n", 2, "csv.delimiter"),
        ("about: a\ncsv: {encoding: klingon}\nfields: {}\n", 2, "klingon is no encoding"),
        ("about: a\ncsv: {encoding: utf-16}\nfields: {}\n", 2, "utf-16-le or utf-16-be"),
        ("fields: {}\n", 1, "about: it is missing"),
        ("about: [\n", 2, "it is no YAML"),
        ("entity: invoices\nabout: a\nfields: {}\n", 1, "there is no entity invoices"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_refused_with_file_and_line(text: str, line: int, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(MappingError, match=said) as error:
        read_mapping(file)
    assert f"own.yaml:{line}:" in str(error.value) or not line


def test_the_hash_of_a_mapping_is_of_what_it_states_and_not_of_its_comments(tmp_path: Path) -> None:
    first = write_mapping(tmp_path, "# a comment\n")
    assert first.sha256 == write_mapping(tmp_path, name="other").sha256
    assert first.sha256 != write_mapping(tmp_path, "csv: {line_breaks: true}").sha256


def test_a_mapping_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(MappingError, match="banksim") as error:
        find_mapping("bankism")
    assert "--as bankism" in str(error.value)


@pytest.mark.parametrize(
    ("form", "text", "read"),
    [
        ({}, "10.50", "10.50"),
        ({}, "-10.5", "-10.5"),
        ({}, "007", "7"),
        ({}, "-0.00", "0.00"),
        ({}, " 10.50\u00a0", "10.50"),
        ({}, ".5", "0.5"),
        ({"decimal": ","}, "10,50", "10.50"),
        ({"decimal": ",", "group": "."}, "1.234.567,89", "1234567.89"),
        ({"group": " "}, "1\u202f234.5", "1234.5"),
        ({"group": "'"}, "1’234.5", "1234.5"),
        ({"symbols": ["$"]}, "$-77.00", "-77.00"),
        ({"symbols": ["$"]}, "-$77.00", "-77.00"),
        ({"symbols": ["€"], "decimal": ","}, "12,00 €", "12.00"),
        ({"symbols": ["$"], "negative": "parentheses"}, "($77.00)", "-77.00"),
        ({"negative": "minus after"}, "77.00-", "-77.00"),
        ({"minor_units": True}, "1234", "12.34"),
        ({"minor_units": True}, "-5", "-0.05"),
        ({"negate": True}, "-10.00", "10.00"),
    ],
)
def test_an_amount_is_read_in_the_stated_form(form: dict[str, object], text: str, read: str) -> None:
    assert AmountReader(AmountForm(**form)).read(text, 2) == read


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({}, "10,50"), ({}, "1,234.50"), ({}, "1E3"), ({}, "NaN"), ({}, "10."), ({}, "--1"), ({}, "１０"), ({}, "1 0"),
        ({"decimal": ","}, "10.50"), ({"decimal": ",", "group": "."}, "12.50"), ({"group": ","}, "1,23.00"),
        ({"symbols": ["$"]}, "-$-7.00"), ({"symbols": ["$"]}, "€7.00"), ({"negative": "parentheses"}, "(7.00"),
        ({"negative": "parentheses"}, "-7.00"), ({"minor_units": True}, "12.34"),
    ],
)  # fmt: skip
def test_an_amount_of_another_form_is_refused_and_never_guessed(form: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=r"is no amount|has two signs"):
        AmountReader(AmountForm(**form)).read(text, 2)


@given(st.decimals(-(10**12), 10**12, places=2, allow_nan=False), st.sampled_from([("", "."), (".", ","), (",", ".")]))
def test_every_amount_comes_back_to_the_cent(amount: Decimal, signs: tuple[str, str]) -> None:
    group, decimal = signs
    written = f"{amount:,.2f}" if group else f"{amount:.2f}"
    written = written.translate(str.maketrans({",": group or ",", ".": decimal}))
    read = AmountReader(AmountForm(decimal=decimal, group=group)).read(written, 2)  # type: ignore[arg-type]
    assert Decimal(read) == amount
    assert units_of(read, 2) == int(amount * 100)


@pytest.mark.parametrize(
    ("form", "text", "read"),
    [
        ({}, "2024-05-01T10:00:00+05:30", "2024-05-01T10:00:00+05:30"),
        ({"zone": "UTC"}, "2024-05-01 10:00", "2024-05-01T10:00:00+00:00"),
        ({"format": "%d/%m/%Y %H:%M", "zone": "+05:30"}, "1/5/2024 9:07", "2024-05-01T09:07:00+05:30"),
        ({"format": "%b %d, %Y %I:%M %p", "zone": "America/New_York"}, "Jan 02, 2024 12:05 AM", "2024-01-02T00:05:00-05:00"),
        ({"format": "%Y%m%d", "zone": "Asia/Kolkata"}, "20240131", "2024-01-31T00:00:00+05:30"),
        ({"format": "%Y-%m-%dT%H:%M:%S%z"}, "2024-01-31T10:00:00-0300", "2024-01-31T10:00:00-03:00"),
        ({"format": "unix"}, "1700000000", "2023-11-14T22:13:20+00:00"),
        ({"format": "unix ms"}, "1700000000123", "2023-11-14T22:13:20.123000+00:00"),
        ({"format": "days", "since": "2024-01-01", "zone": "UTC"}, "59", "2024-02-29T00:00:00+00:00"),
        ({"format": "%Y-%m-%d %H:%M", "zone": "Europe/Berlin", "ambiguous": "second"}, "2024-10-27 02:30", "2024-10-27T02:30:00+01:00"),
        ({"format": "%Y-%m-%d %H:%M", "zone": "Europe/Berlin", "ambiguous": "first"}, "2024-10-27 02:30", "2024-10-27T02:30:00+02:00"),
    ],
)  # fmt: skip
def test_a_time_is_read_in_the_stated_form_and_zone(form: dict[str, str], text: str, read: str) -> None:
    assert TimeReader(TimeForm(**form)).read(text) == read  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "text", "code"),
    [
        ({"format": "%Y-%m-%d %H:%M", "zone": "Europe/Berlin"}, "2024-03-31 02:30", "TIME_SKIPPED_BY_CLOCK_CHANGE"),
        ({"format": "%Y-%m-%d %H:%M", "zone": "Europe/Berlin"}, "2024-10-27 02:30", "TIME_TWICE_IN_CLOCK_CHANGE"),
        ({"format": "%Y-%m-%d", "zone": "UTC"}, "2023-02-29", "TIME_FORM"),
        ({"format": "%Y%m%d", "zone": "UTC"}, "2024111", "TIME_FORM"),
        ({}, "2024-05-01 10:00", "TIME_FORM"),
        ({"zone": "UTC"}, "2024-05-01", "TIME_FORM"),
        ({"format": "unix"}, "2024", None),
        ({"format": "unix"}, "1.7e9", "TIME_FORM"),
    ],
)
def test_a_time_that_is_none_is_refused(form: dict[str, str], text: str, code: str | None) -> None:
    reader = TimeReader(TimeForm(**form))  # type: ignore[arg-type]
    if code is None:  # a year is a number of seconds too: the mapping says which of the two
        assert reader.read(text).startswith("1970-01-01")
        return
    with pytest.raises(WrongTimeError) as error:
        reader.read(text)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('first + " " + last', "Ada Byron"),
        ('remove_prefix(last, "By")', "ron"),
        ('"FAILED" if errors else "SUCCESS"', "SUCCESS"),
        ('"yes" if first in ("Ada", "Ben") and not errors else "no"', "yes"),
        ('first_of(errors, col("card no"), first)', "41"),
        ('part(last, "r", -1)', "on"),
        ('found(last, "y(.)")', "r"),
        ("upper(left(first, 2)) + right(last, 1)", "ADn"),
        ('replace(trim(first), "a", "e")', "Ade"),
    ],
)
def test_an_expression_gives_a_text_of_a_row(text: str, value: str) -> None:
    columns = ["first", "last", "errors", "card no"]
    expression = Expression(text)
    assert set(expression.columns) <= set(columns)
    assert expression.compiled(columns, {})(["Ada", "Byron", None, "41"]) == value


@pytest.mark.parametrize(
    "text",
    ["first.upper()", "__import__('os')", "first[0]", "lambda: 1", "first +", "5", 'left(first, "2")', "part(a, '', 0)",
     "found(first, '(')", "first if", "f'{first}'", "upper(first, last)", "[x for x in first]", "first := last"],
)  # fmt: skip
def test_an_expression_has_none_of_pythons_powers(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


def test_an_id_counts_equal_rows_of_its_own_file_only() -> None:
    rows = [["a", "1"], ["b", "1"], ["a", "1"], ["a", "1"]]
    ids = [RowIds("may.csv").make(rows[0])]
    first = RowIds("may.csv")
    made = [first.make(row) for row in rows]
    assert len(set(made)) == 4
    assert made[0] == ids[0]
    other = RowIds("june.csv")
    assert other.make(rows[0]) not in made
    with_one_more = RowIds("may.csv")
    again = [with_one_more.make(row) for row in [["c", "9"], *rows]]
    assert again[1:] == made  # a row that is put in renames no other
    assert RowIds("f").make(["ab", "c"]) != RowIds("f").make(["a", "bc"])


def test_ids_beyond_memory_are_the_same() -> None:
    rows = [[str(number % 7)] for number in range(200)]
    small, large = RowIds("f", in_memory=3), RowIds("f")
    assert [small.make(row) for row in rows] == [large.make(row) for row in rows]
    small.close()


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


@given(
    rows=st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=8),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "utf-8-sig"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_csv_that_is_written_is_read_back_with_its_place(
    rows: Sequence[Sequence[str]], delimiter: str, encoding: str, end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b", "c"], *rows])
    file = tmp_path_factory.mktemp("csv") / "file.csv"
    content = out.getvalue().encode(encoding)
    file.write_bytes(content)
    form = CsvForm(delimiter=delimiter, encoding=encoding.removesuffix("-sig"), line_breaks=True)
    reading = CsvRows(Source(file, "file"), form, ["c", "a"])
    read = list(reading)
    kept = [row for row in rows if any(map(str.strip, row))]
    assert [tuple(each.values or ()) for each in read] == [(row[2], row[0]) for row in kept]
    assert reading.blank == len(rows) - len(kept)
    for each in read:
        raw = each.raw.encode(encoding.removesuffix("-sig"))
        assert content[each.offset : (each.offset or 0) + len(raw)] == raw


def test_parquet_is_read_as_exact_text_and_binary_money_only_where_the_mapping_says_so(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a1", "a2"], "customer": [1, 2], "shop": pa.array(["S", "T"]).dictionary_encode(),
            "amount": pa.array([Decimal("10.50"), Decimal("7.00")]), "currency": ["USD", "USD"],
            "at": ["2024-05-01 10:00:00"] * 2,
        }
    )  # fmt: skip
    file = tmp_path / "file.parquet"
    pq.write_table(table, file)
    mapping = write_mapping(tmp_path, "format: parquet")
    found = read_file(Source(file, "file"), mapping)
    assert [json.loads(value, parse_float=Decimal)["amount"] for value in found.sent] == [Decimal("10.50"), 7]
    floats = table.set_column(3, "amount", pa.array([107.23, 0.1]))
    pq.write_table(floats, file)
    with pytest.raises(SourceError, match="the column amount has the type double"):
        read_file(Source(file, "file"), mapping)
    mapping = write_mapping(tmp_path, "format: parquet", written="binary: shortest")
    found = read_file(Source(file, "file"), mapping)
    assert [json.loads(value, parse_float=Decimal)["amount"] for value in found.sent] == [
        Decimal("107.23"),
        Decimal("0.1"),
    ]


def test_a_refused_row_shows_no_personal_value(tmp_path: Path) -> None:
    text = Path(find_mapping("card-fraud").file).read_text(encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(text, encoding="utf-8")
    found = read_file(Source(SAMPLES / "damaged" / "scientific_cards.csv", "f"), read_mapping(own))
    assert found.refused
    said = " ".join(str(problem) for each in found.refused for problem in each.problems)
    assert "no card number" in said
    assert "2.70319E+15" not in said


def test_rows_of_another_kind_are_left_out_and_counted(tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path, "leave_out: 'shop == \"Shop One\"'")
    found = read(tmp_path, HEADER + GOOD, mapping)
    assert [each.record.line for each in found.left_out] == [2]
    assert (found.left_out[0].currency, found.left_out[0].amount) == ("USD", Decimal("10.50"))
    assert found.rows == [3]


def test_the_first_fault_of_a_row_does_not_hide_the_others(tmp_path: Path) -> None:
    bad = "b1,c1,Shop,ten,USD,yesterday\n"
    (refused,) = read(tmp_path, HEADER + bad).refused
    assert {problem.column for problem in refused.problems} == {"amount", "at"}
    assert (refused.record.line, refused.record.offset, refused.record.raw) == (2, len(HEADER), bad.strip())
    assert (refused.currency, refused.amount) == (None, None)


def test_a_sketch_tells_how_many_rows_two_files_share() -> None:
    def sketch(rows: range) -> bytes:
        found = Sketch(200)
        for number in [*rows, *rows]:  # equal rows count once
            found.add(b"%d" % number)
        return found.as_bytes()

    whole = sketch(range(10_000))
    assert shared_percent(whole, whole, 200) == 100
    assert shared_percent(whole, sketch(range(10_000, 20_000)), 200) == 0
    assert 35 <= shared_percent(whole, sketch(range(5_000, 15_000)), 200) <= 65
    assert shared_percent(sketch(range(50)), sketch(range(40, 90)), 200) == 20
