import gzip
import os
import random
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS
from contracts.verdict import judge, read_instant
from data_generator import card_file, row_check
from data_generator.card_file import CardFile
from data_generator.card_row import BadRow, CardRow
from data_generator.clock import zoned_text
from data_generator.errors import KaggleFileError
from data_generator.events import Event
from data_generator.kaggle_rows import LONGEST_LINE, read_rows
from data_generator.plan import ORIGINAL, Plan, parse_duration
from data_generator.produce import make_feed
from data_generator.row_check import problems
from data_generator.statement import Statement
from warehouse.reconcile.dialect import Dialect
from warehouse.reconcile.statement_file import StatementFile

AsCsv = Callable[..., str]
Row = dict[str, str]

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20
).filter(str.strip)  # fmt: skip
FIRST, LAST = map(datetime.fromisoformat, ("0002-01-01", "9998-12-31T23:59:59"))
ROW = st.fixed_dictionaries(
    {
        "merchant": TEXT,
        "city": TEXT,
        "first": TEXT,
        "amt": st.decimals(0, 10**9, places=2).map(str),
        "cc_num": st.integers(10**10, 10**19 - 1).map(str),
        "trans_date_trans_time": st.datetimes(FIRST, LAST).map(
            lambda at: at.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
        ),
        "is_fraud": st.sampled_from("01"),
    }
)


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "cards.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@given(st.lists(ROW, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]), st.randoms())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read_exactly_in_any_order_of_columns(
    tmp_path: Path, sound: Row, as_csv: AsCsv, rows: list[Row], end: str, shuffler: random.Random
) -> None:
    columns = [*sound, "merch_zipcode"]
    shuffler.shuffle(columns)
    read = list(read_rows(write(tmp_path, as_csv([sound | each for each in rows], columns, end))))
    assert len(read) == len(rows)
    for got, was in zip(read, rows, strict=True):
        assert isinstance(got, CardRow), str(got)
        assert (got.merchant, got.city, got.first) == (
            was["merchant"].removeprefix("fraud_"),
            was["city"],
            was["first"],
        )
        assert Decimal(got.cents).scaleb(-2) == Decimal(was["amt"])
        assert got.card_number == was["cc_num"]
        assert zoned_text(got.occurred, 0) == was["trans_date_trans_time"].replace(" ", "T") + "+00:00"
        assert got.is_fraud is (was["is_fraud"] == "1")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("cc_num", "2.70319E+15", "scientific notation"),
        ("cc_num", "2703186189652095.0", "not a card number"),
        ("cc_num", "1234", "not a card number"),
        ("cc_num", "", "not a card number"),
        ("trans_date_trans_time", "01-01-2019 00:00", "not YYYY-MM-DD HH:MM:SS"),
        ("trans_date_trans_time", "8/3/2020 6:18", "not YYYY-MM-DD HH:MM:SS"),
        ("trans_date_trans_time", "2019-02-30 00:00:00", "not YYYY-MM-DD HH:MM:SS"),
        ("trans_date_trans_time", "2019-01-01 24:00:01", "not YYYY-MM-DD HH:MM:SS"),
        ("trans_date_trans_time", "2019-01-01T00:00:18", "not YYYY-MM-DD HH:MM:SS"),
        ("trans_date_trans_time", "0001-01-01 00:00:00", "calendar's end"),
        ("trans_date_trans_time", "9999-12-31 23:59:59", "calendar's end"),
        ("trans_date_trans_time", "10000-01-01 00:00:00", "not YYYY-MM-DD HH:MM:SS"),
        ("trans_date_trans_time", "2019-01-01 99:99:99", "not YYYY-MM-DD HH:MM:SS"),
        ("trans_date_trans_time", "inf", "not YYYY-MM-DD HH:MM:SS"),
        ("cc_num", "9" * 5_000, "not a card number"),
        ("amt", "inf", "plain decimal"),
        ("amt", "nan", "plain decimal"),
        ("amt", "18446744073709551616.00", "plain decimal"),
        ("amt", "9" * 5_000, "plain decimal"),
        ("is_fraud", "18446744073709551616", "neither 0 nor 1"),
        ("merchant", "fraud_\0", "NUL_CHARACTER"),
        ("category", "a\0", "NUL_CHARACTER"),
        ("first", "An\0n", "NUL_CHARACTER"),
        ("last", "\0", "NUL_CHARACTER"),
        ("trans_num", "TOTAL", "footer"),
        ("trans_num", "# grand  totals:", "footer"),
        ("trans_num", "6161 ", "6161<U+0020> has characters that cannot be seen"),
        ("trans_num", "\t6161", "cannot be seen"),
        ("trans_num", "61\x1b[31m61", "61<U+001B>[31m61 has characters that cannot be seen"),
        ("trans_num", "61\u200b61", "cannot be seen"),
        ("trans_num", "7" * 250, "has 250 characters; the gateway sends 200 at most"),
        ("trans_num", '="0012"', "formula"),
        ("trans_num", "@sum", "formula"),
        ("amt", "$4.97", "plain decimal"),
        ("amt", "1,004.97", "plain decimal"),
        ("amt", "4.971", "digits"),
        ("amt", "4.97e1", "plain decimal"),
        ("amt", "", "plain decimal"),
        ("is_fraud", "yes", "neither 0 nor 1"),
        ("merchant", "  ", "blank"),
        ("trans_num", "", "blank"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_by_file_line_and_column(
    tmp_path: Path, sound: Row, as_csv: AsCsv, column: str, value: str, words: str
) -> None:
    good, bad = sound, sound | {column: value}
    first, second, third = read_rows(write(tmp_path, as_csv([good, bad, good])))
    assert isinstance(first, CardRow)
    assert isinstance(third, CardRow)
    assert isinstance(second, BadRow)
    assert str(second).startswith(f"cards.csv line 3, column {column}: ")
    assert words in str(second)
    assert len(second.problems) == 1


@pytest.mark.parametrize(("column", "value"), [("city", "a" * 1_048_576), ("state", "\u3042" * 400_000)])
def test_a_row_that_no_message_could_carry_is_refused_by_its_column(
    tmp_path: Path, sound: Row, as_csv: AsCsv, column: str, value: str
) -> None:
    plain = sound | {"merchant": "fraud_Acme", "job": "Clerk"}
    good, bad = read_rows(write(tmp_path, as_csv([plain, plain | {column: value}])))
    assert isinstance(good, CardRow)
    assert str(bad).startswith(f"cards.csv line 3, column {column}: VALUE_TOO_LARGE")


def test_a_line_without_end_is_refused_and_not_read_whole(tmp_path: Path, sound: Row, as_csv: AsCsv) -> None:
    path = write(tmp_path, as_csv([sound]) + "x" * (LONGEST_LINE + 1))
    with pytest.raises(KaggleFileError, match="line 3 has 2,097,152 characters or more"):
        list(read_rows(path))


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300, "cards.csv/more", "folder", "pipe"])
def test_a_path_that_is_no_file_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path, "")
    with pytest.raises(KaggleFileError, match="cannot be read"):
        list(read_rows(tmp_path / name))


@pytest.mark.parametrize(
    ("row", "times"),
    [
        ({"trans_num": "0b242abb623afc578575680df30655b9"}, 0),
        ({"trans_num": "CX-2019_0001.b"}, 0),
        ({"trans_num": "totals"}, 1),
        ({"trans_num": "x y"}, 1),
        ({"city": "S\u00e3o Paulo", "merchant": "Caf\u00e9"}, 1),
    ],
)
def test_a_sound_row_is_judged_once_at_most(
    tmp_path: Path, sound: Row, as_csv: AsCsv, monkeypatch: pytest.MonkeyPatch, row: Row, times: int
) -> None:
    judged: list[bytes] = []
    monkeypatch.setattr(row_check, "judge", lambda value, entity: judged.append(value) or judge(value, entity))
    (read,) = read_rows(write(tmp_path, as_csv([sound | row])))
    assert isinstance(read, BadRow) is (row.get("trans_num") == "totals")
    assert len(judged) == times


def test_what_the_first_look_lets_through_the_strict_parser_takes_too(sample: CardFile) -> None:
    rows = list(islice(sample.rows(), 300))
    assert len(rows) == 300
    assert not any(problems(row) for row in rows)


ODD = st.text(
    st.sampled_from("aT\0\x01\x1b\x7f\x85\u00a0\u200b\u2028\ufeff\U0001f4a9\ue000\u0301e=+-@|\\;\"', \t[/]#total"),
    min_size=1,
    max_size=12,
)
ODD_ROW = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("merchant", "category", "first", "last", "city", "state"), ODD)
    | {"trans_num": ODD | st.sampled_from(["TOTAL", "# Grand totals:", " total", "7" * 65, "7" * 201])}
    | {"amt": st.sampled_from(["0.00", "-25.00", "99999999999999.99", "0.01"])}
    | {"trans_date_trans_time": st.sampled_from(["0002-01-01 00:00:00", "9998-12-31 23:59:59"])},
)


@given(st.lists(ODD_ROW, min_size=1, max_size=6), st.integers(1, 2**70))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_gateway_calls_sound_the_contract_and_the_reader_of_its_statement_take(
    tmp_path: Path, sound: Row, as_csv: AsCsv, rows: list[Row], number: int
) -> None:
    path = write(tmp_path, as_csv([sound | {"trans_num": f"{number + n:x}"} | row for n, row in enumerate(rows)]))
    file = CardFile(path, 1_000, lambda _: None)
    file.check()
    entity = load_entity(PAYMENTS)
    plan = Plan(7, 0, ORIGINAL, 0, Fraction(1), file.good, Fraction(0), Fraction(0), parse_duration("999999d"))
    folder = tmp_path / f"{time.monotonic_ns()}"
    statement = Statement(folder, dict(entity.currencies), print)
    expected: dict[tuple[str, str], Event] = {}
    for event in make_feed(plan, file, {each.name: each for each in load_entities()}, "key"):
        verdict = judge(event.value, entity)
        assert verdict.reasons == frozenset(), verdict.reasons
        assert read_instant(event.status_at)
        assert event.line is not None
        statement.note(event)
        expected.setdefault((event.line.day, event.line.transaction_id), event)
    statement.close()
    assert statement.error is None
    found = []
    for each in folder.glob("gateway-*.csv"):
        read = StatementFile(each, Dialect(), dict(entity.currencies))
        found += [(line.day, line.transaction_id) for line in read.lines()]
        assert read.footer
    assert sorted(found) == sorted(expected)


def test_a_day_s_sum_may_have_more_digits_than_any_amount_and_is_read(
    tmp_path: Path, sound: Row, as_csv: AsCsv
) -> None:
    rows = [sound | {"trans_num": f"{n:x}", "amt": "99999999999999.99"} for n in range(150)]
    file = CardFile(write(tmp_path, as_csv(rows)), 0, print)
    file.check()
    entity = load_entity(PAYMENTS)
    plan = Plan(7, 0, ORIGINAL, 0, Fraction(1), file.good, Fraction(0), Fraction(0), parse_duration("1d"))
    statement = Statement(tmp_path / "statements", dict(entity.currencies), print)
    for event in make_feed(plan, file, {each.name: each for each in load_entities()}, "key"):
        statement.note(event)
    statement.close()
    (path,) = statement.folder.glob("gateway-*.csv")
    read = StatementFile(path, Dialect(), dict(entity.currencies))
    assert len(list(read.lines())) == 150
    assert read.footer[0].amount == "14999999999999998.50"


def test_a_bad_card_number_is_never_shown(tmp_path: Path, sound: Row, as_csv: AsCsv) -> None:
    (bad,) = read_rows(write(tmp_path, as_csv([sound | {"cc_num": "2703186189652095x"}])))
    assert "2703186" not in str(bad)


def test_bytes_that_are_not_utf_8_break_their_row_only(tmp_path: Path, sound: Row, as_csv: AsCsv) -> None:
    text = as_csv([sound, sound | {"city": "Caf#"}, sound]).encode().replace(b"#", b"\xe9")
    kinds = [type(row) for row in read_rows(write(tmp_path, text))]
    assert kinds == [CardRow, BadRow, CardRow]


def test_a_quote_that_is_never_closed_does_not_swallow_the_rows_behind_it(
    tmp_path: Path, sound: Row, as_csv: AsCsv
) -> None:
    lines = as_csv([sound] * 4).splitlines(keepends=True)
    lines[2] = lines[2].replace('Mann"', "Mann")
    rows = list(read_rows(write(tmp_path, "".join(lines))))
    assert [type(row) for row in rows] == [CardRow, BadRow, CardRow, CardRow]
    assert "line 3" in str(rows[1])


def test_a_row_with_a_column_too_few_is_named(tmp_path: Path, sound: Row, as_csv: AsCsv) -> None:
    text = as_csv([sound]).rstrip("\n").rpartition(",")[0]
    (bad,) = read_rows(write(tmp_path, text))
    assert str(bad) == "cards.csv line 2, 22 values where the header has 23 columns"


def test_byte_order_mark_blank_lines_and_a_missing_first_column_do_not_matter(
    tmp_path: Path, sound: Row, as_csv: AsCsv
) -> None:
    columns = [name for name in sound if name]
    text = "\ufeff" + as_csv([sound], columns) + "\n\n"
    (row,) = read_rows(write(tmp_path, text))
    assert isinstance(row, CardRow)


def test_a_file_of_another_form_is_refused_by_the_name_of_the_missing_column(tmp_path: Path) -> None:
    with pytest.raises(KaggleFileError, match="no column trans_date_trans_time, cc_num"):
        list(read_rows(write(tmp_path, "id,amount\n1,2\n")))
    with pytest.raises(KaggleFileError, match="no column"):
        list(read_rows(write(tmp_path, "")))


def test_a_packed_file_that_is_cut_off_is_refused_with_the_last_line(tmp_path: Path, sound: Row, as_csv: AsCsv) -> None:
    rows = [sound | {"trans_num": f"{random.Random(n).getrandbits(128):032x}"} for n in range(2000)]
    packed = gzip.compress(as_csv(rows).encode())
    path = write(tmp_path, packed[: len(packed) // 2])
    with pytest.raises(KaggleFileError, match=r"cut off or damaged behind line \d+"):
        list(read_rows(path))
    whole = write(tmp_path, packed)
    assert sum(isinstance(row, CardRow) for row in read_rows(whole)) == 2000


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(KaggleFileError, match="No such file"):
        list(read_rows(tmp_path / "nothing.csv"))


def test_spreadsheet_damage_is_refused_row_by_row_and_not_guessed(damaged: list[Path]) -> None:
    assert len(damaged) == 2
    for path in damaged:
        rows = list(read_rows(path))
        assert len(rows) == 100
        for row in rows:
            assert isinstance(row, BadRow)
            assert "column trans_date_trans_time" in str(row)
        # Numbers of 11 and 12 digits fit the spreadsheet's column and were left whole.
        assert sum("cc_num: the card number is in scientific notation" in str(row) for row in rows) > 70


def test_bad_rows_are_skipped_and_counted_up_to_the_limit_and_stop_beyond_it(
    tmp_path: Path, sound: Row, as_csv: AsCsv
) -> None:
    path = write(tmp_path, as_csv([sound, sound | {"amt": "x"}, sound, sound | {"is_fraud": "x"}]))
    said: list[str] = []
    file = CardFile(path, 2, said.append)
    file.check()
    assert (file.good, file.bad, len(said)) == (2, 2, 2)
    assert len(list(file.rows())) == 2
    with pytest.raises(KaggleFileError, match=r"line 3, column amt.*2 of 4 rows.*--max-bad-rows is 1"):
        CardFile(path, 1, said.append).check()


@pytest.mark.parametrize(("kept", "left"), [(3, 3), (2, 0)])
def test_a_small_file_is_kept_and_a_larger_one_is_read_again(
    kept: int, left: int, tmp_path: Path, sound: Row, as_csv: AsCsv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_file, "KEPT_ROWS", kept)
    path = write(tmp_path, as_csv([sound, sound | {"trans_num": "b"}, sound | {"trans_num": "c"}]))
    file = CardFile(path, 0, print)
    file.check()
    first = list(file.rows())
    assert len(first) == 3
    assert list(file.rows()) == first
    path.write_text("")
    if left:
        assert list(file.rows()) == first
    else:
        with pytest.raises(KaggleFileError):
            list(file.rows())


def test_the_bundled_sample_reads_whole(sample: CardFile) -> None:
    assert (sample.good, sample.bad) == (33_433, 0)
