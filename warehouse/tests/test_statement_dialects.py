"""Statements as banks write them: what is read, what is refused, and that each hint leads to a command that works."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from warehouse.reconcile import header
from warehouse.reconcile.dialect import Dialect, folded, make_dialect
from warehouse.reconcile.errors import MisuseError, StatementFileError
from warehouse.reconcile.statement_file import StatementFile
from warehouse.reconcile.values import Values, WrongValueError

DIGITS = dict(load_entity(PAYMENTS).currencies)
HEADER = "transaction_id,amount,currency,status,date\n"
END = ",INR,SUCCESS,2025-03-01\n"

Line = tuple[str, str, str, str, str]


def read(tmp_path: Path, content: str | bytes, *arguments: str) -> tuple[list[Line], StatementFile]:
    """Read a statement as the options of a command line say; return its payments without their line."""
    path = tmp_path / "statement.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    file = StatementFile(path, dialect_of(arguments), DIGITS)
    return [(line[1], *line[2:]) for line in file.lines()], file


def dialect_of(arguments: Sequence[str]) -> Dialect:
    found: dict[str, Any] = {"maps": [], "statuses": [], "where": []}
    names = {"map": "maps", "status": "statuses"}
    for option, value in zip(arguments[::2], arguments[1::2], strict=True):
        name = option.removeprefix("--").replace("-", "_")
        name = names.get(name, name)
        if isinstance(found.get(name), list):
            found[name].append(value)
        else:
            found[name] = int(value) if name == "skip_lines" else value
    return make_dialect(**found)


def refusal(tmp_path: Path, content: str | bytes, *arguments: str) -> str:
    with pytest.raises(StatementFileError) as caught:
        read(tmp_path, content, *arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["t1 ", " t1", "\u200bt1", "t1\ufeff", '="0012"', "\tt1", "t1\r", "t\n1", " ", "x" * 300]
)
def test_an_id_is_taken_with_every_character_of_it(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    assert read(tmp_path, f"{HEADER}{quoted},1{END}")[0] == [(name, "1", "INR", "SUCCESS", "2025-03-01")]


@pytest.mark.parametrize(
    ("time", "zone", "day"),
    [
        ("2025-03-01T24:00:00Z", None, "2025-03-02"),
        ("2025-03-01 24:00", None, "2025-03-02"),
        ("2024-12-31T24:00:00.000Z", None, "2025-01-01"),
        ("2025-03-01T20:30:00Z", None, "2025-03-01"),
        ("2025-03-01T20:30:00Z", "Asia/Kolkata", "2025-03-02"),
        ("2025-03-02T02:00:00+05:30", "UTC", "2025-03-01"),
        ("2025-03-02T02:00:00+0530", "-08:00", "2025-03-01"),
        ("2025-03-01T23:59:59+14:00", "+00:00", "2025-03-01"),
        ("2025-03-01T00:21:32", "CET", "2025-03-01"),
        ("2025-03-01", "America/New_York", "2025-03-01"),
        ("2025-03-01T24:00:00Z", "UTC", "2025-03-02"),
        ("9999-12-31", "UTC", "9999-12-31"),
        ("0001-01-01T00:00:00Z", "UTC", "0001-01-01"),
    ],
)
def test_a_time_is_of_the_day_that_it_writes_or_of_the_zones(time: str, zone: str | None, day: str) -> None:
    assert Values(make_dialect([], [], zone=zone), DIGITS).day(time) == day


@pytest.mark.parametrize(
    "time",
    [
        *("2025-03-01 99:99:99", "2025-03-01T10:11:12+99:99", "2025-03-01T24:00:01", "2025-03-01T24:01:00Z"),
        *("2025-03-01T25:00:00", "2025-03-01T10:60:00", "2025-03-01T10:11:60", "2025-03-01T10:11:12+14:30"),
        *("2025-03-01T10:11:12-15:00", "2025-03-01T10:11:12+05:60", "9999-12-31T24:00:00", "0000-01-01", "10000-01-01"),
        *("2025-02-29T10:00:00", "\u0662\u0660\u0662\u0665-03-01", "2025-03-01T", "2025-03-01Z"),
    ],
)  # fmt: skip
def test_a_time_that_no_clock_and_no_calendar_has_is_refused_by_line_and_column(tmp_path: Path, time: str) -> None:
    said = refusal(tmp_path, f"{HEADER}t1,1,INR,SUCCESS,{time}\n")
    assert f"line 2, column date: '{time}' is no date" in said


@pytest.mark.parametrize(("time", "zone"), [("0001-01-01T00:00:00Z", "-01:00"), ("9999-12-31T23:30:00Z", "+01:00")])
def test_a_day_behind_the_calendars_end_is_refused(time: str, zone: str) -> None:
    with pytest.raises(WrongValueError, match="is no date"):
        Values(make_dialect([], [], zone=zone), DIGITS).day(time)


@given(
    st.datetimes().map(str)
    | st.text(max_size=30)
    | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([+-]\d\d:\d\d)?", fullmatch=True)
)
@example("9999-12-31T24:00:00")
@example("2025-03-01T10:00:00+14:00")
def test_every_text_is_a_day_or_refused(text: str) -> None:
    for zone in (None, "UTC", "Pacific/Kiritimati"):
        try:
            day = Values(make_dialect([], [], zone=zone), DIGITS).day(text)
        except WrongValueError:
            continue
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", day)


@pytest.mark.parametrize(
    ("written", "options", "amount"),
    [
        ("1.230", "--group .", "1230"), ("1.230", "--group point", "1230"), ("1.230,5", "--group point", "1230.5"),
        ("-1.000.230", "--group .", "-1000230"), ("1,230", "--group comma", "1230"),
        ("1,230.50", "--group ,", "1230.50"),
        ("12,34,567.89", "--group comma", "1234567.89"), ("1 230", "--group blank", "1230"),
        ("1\u202f230,50", "--group blank --decimal ,", "1230.50"), ("1\u2019230.50", "--group apostrophe", "1230.50"),
        ("1.230", "--group none", "1.230"), ("1,230", "--group none --decimal ,", "1.230"),
        ("12", "--group comma", "12"),
        ("1230.50", "--group comma", "1230.50"), ("0.300", "", "0.300"), ("1234.500", "", "1234.500"),
    ],
)  # fmt: skip
def test_a_declared_thousands_sign_is_taken_away(written: str, options: str, amount: str) -> None:
    assert Values(dialect_of(shlex.split(options)), DIGITS).amount(written, "EUR") == amount


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("1.230", ""), ("1.000", ""), ("999.999", ""), ("1,230", "--decimal ,"), ("1.234.56", "--group ."),
        ("1.2345", "--group ."), ("1..230", "--group ."), (".230", "--group ."), ("1,23", "--group comma"),
        ("1,2,345", "--group comma"), ("1234,567", "--group comma"), ("1.230.", "--group ."), ("9" * 17, ""),
        ("1,111,111,111,111,111,111", "--group comma"),
    ],
)  # fmt: skip
def test_an_amount_that_could_be_another_one_is_refused(written: str, options: str) -> None:
    with pytest.raises(WrongValueError):
        Values(dialect_of(shlex.split(options)), DIGITS).amount(written, "EUR")


@given(
    st.integers(-(10**15), 10**15), st.sampled_from([("comma", ","), ("point", "."), ("blank", "\u00a0"), ("none", "")])
)
def test_grouped_amounts_are_taken_exactly(units: int, sign: tuple[str, str]) -> None:
    values = Values(make_dialect([], [], group=sign[0]), DIGITS)
    decimal = "," if sign[1] == "." else "."
    whole, cents = divmod(abs(units), 100)
    minus = "-" if units < 0 else ""
    written = f"{minus}{whole:,}".replace(",", sign[1]) + f"{decimal}{cents:02}"
    assert values.amount(written, "INR") == f"{minus}{whole}.{cents:02}"


def test_amounts_of_three_digits_that_could_be_thousands_are_counted_until_one_is_sure(tmp_path: Path) -> None:
    kuwait = "a,1.234,KWD,SUCCESS,2025-03-01\nb,12.500,KWD,SUCCESS,2025-03-01\n"
    assert read(tmp_path, HEADER + kuwait)[1].unsure == (2, "1.234")
    assert read(tmp_path, HEADER + kuwait, "--group", "none")[1].unsure == (0, "")
    assert read(tmp_path, HEADER + kuwait + "c,0.250,KWD,SUCCESS,2025-03-01\n")[1].unsure == (0, "")
    assert read(tmp_path, HEADER + kuwait, "--group", "point")[0][0][1] == "1234"


ADYEN = """Psp Reference,TimeZone,Type,Currency,Debit (GC),Credit (GC),Creation Date
881,CET,Settled,EUR,,31.45,2025-03-01 00:21:32
882,CET,Settled,EUR,0.00,19.95,2025-03-01 10:17:31
882,CET,Refunded,EUR,19.95,,2025-03-03 10:17:31
,CET,Fee,EUR,0.55,,2025-03-04 02:00:00
,CET,Payout,EUR,30.30,,2025-03-04 02:00:00
"""
ADYEN_MAP = (
    "transaction_id=Psp Reference,credit=Credit (GC),debit=Debit (GC),currency=Currency,status=Type,date=Creation Date"
)


def test_debit_and_credit_are_one_amount_and_rows_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    options = ("--map", ADYEN_MAP, "--status", "Settled=SUCCESS", "--status", "Refunded=SUCCESS")
    lines, file = read(tmp_path, ADYEN, *options, "--where", "Type=settled")
    assert lines == [("881", "31.45", "EUR", "SUCCESS", "2025-03-01"), ("882", "19.95", "EUR", "SUCCESS", "2025-03-01")]
    assert file.left_out == 3
    lines, file = read(
        tmp_path, ADYEN, *options, "--where", "Type=Settled", "--where", "TYPE=Refunded", "--where", "TimeZone=CET"
    )
    assert ("882", "-19.95", "EUR", "SUCCESS", "2025-03-03") in lines
    assert (len(lines), file.left_out) == (3, 2)
    assert "--where leaves out every row; they have 'Settled', 'Refunded', 'Fee', 'Payout'" in refusal(
        tmp_path, ADYEN, *options, "--where", "Type=Sold"
    )
    assert "the header has no column Kind; it has Psp Reference, TimeZone, Type" in refusal(
        tmp_path, ADYEN, *options, "--where", "Kind=Settled"
    ).replace("kind", "Kind")
    for wrong in ("5.00,5.00", ",", "-5.00,"):
        said = refusal(tmp_path, ADYEN.replace(",31.45", wrong), *options, "--where", "Type=Settled")
        assert "line 2, column " in said


def test_a_footer_of_two_columns_may_have_both_and_is_credit_less_debit(tmp_path: Path) -> None:
    columns = "transaction_id,credit,debit,currency,status,date\n"
    rows = "a1,8.00,,EUR,SUCCESS,2025-03-01\na2,,5.00,EUR,SUCCESS,2025-03-01\n"
    options = ("--map", "credit=credit,debit=debit")
    for footer, total in (("8.00,5.00", "3.00"), ("5.00,8.00", "-3.00"), (f"{'9' * 24}.99,0.01", f"{'9' * 24}.98")):
        lines, file = read(tmp_path, f"{columns}{rows}TOTAL,{footer},EUR,2,\n", *options)
        assert [line[1] for line in lines] == ["8.00", "-5.00"]
        assert file.footer[0].amount == total
    assert "a credit and a debit in one row" in refusal(
        tmp_path, columns + rows.replace("8.00,", "8.00,1.00"), *options
    )


@pytest.mark.parametrize(
    "content",
    [
        "Wa\u0308hrung".join(['transaction_id,amount,', ",status,date\nt1,1,EUR,SUCCESS,2025-03-01\n"]),
        'transaction_id,"amount\n",Währung,status,date\nt1,1,EUR,SUCCESS,2025-03-01\n',
        'transaction_id,amount,"W\u00e4hr\u00adung","sta\u200btus",date\r\n\r\nt1,1,EUR,SUCCESS,2025-03-01\r\n',
        '\ufeff\ufefftransaction_id,amount,währung, Status ,date\nt1,1,EUR,SUCCESS,2025-03-01\n',
        '"a\nb";transaction_id;amount;Währung;status;date\nx;t1;1;EUR;SUCCESS;2025-03-01\n',
    ],
    ids=["decomposed", "line break", "invisible", "two marks", "line break in another"],
)  # fmt: skip
def test_a_header_is_found_however_it_is_written(tmp_path: Path, content: str) -> None:
    lines, _ = read(tmp_path, content, "--map", "currency=Währung")
    assert lines == [("t1", "1", "EUR", "SUCCESS", "2025-03-01")]


def test_the_line_of_a_value_counts_the_lines_of_a_header_with_breaks(tmp_path: Path) -> None:
    content = 'transaction_id,"amount\n",currency,status,date\nt1,x,EUR,SUCCESS,2025-03-01\n'
    assert "line 3, column amount" in refusal(tmp_path, content)


def test_rows_without_any_value_are_as_empty_as_an_empty_line(tmp_path: Path) -> None:
    lines, file = read(tmp_path, f"{HEADER},,,,\nt1,1{END}, ,\t,,\n\n,,,,\nTOTAL,1,INR,1,\n,,,,\n,,\n")
    assert len(lines) == len(file.footer) == 1


@pytest.mark.parametrize(("header", "line"), [("", ","), ("", ",, \t,"), (",", ""), (",,", ","), (",", ",,")])
def test_empty_values_behind_the_last_column_are_none(tmp_path: Path, header: str, line: str) -> None:
    content = f"{HEADER[:-1]}{header}\nt1,1{END[:-1]}{line}\n"
    assert len(read(tmp_path, content)[0]) == 1
    assert "values, the header has" in refusal(tmp_path, f"{HEADER[:-1]}{header}\nt1,1,INR,SUCCESS\n")
    assert "values, the header has" in refusal(tmp_path, f"{HEADER[:-1]}{header}\nt1,1{END[:-1]},,,x\n")


@pytest.mark.parametrize("line", ["Total,12.50", "***END OF FILE***", "Total amount,12.50,EUR,1,", "Summe,1,EUR,1,"])
def test_what_stands_behind_the_payments_and_is_no_footer_is_refused_by_its_line(tmp_path: Path, line: str) -> None:
    said = refusal(tmp_path, f"{HEADER}t1,1{END}{line}\n")
    assert "line 3" in said
    assert "--status" not in said


def test_a_footer_may_have_more_digits_than_one_amount(tmp_path: Path) -> None:
    total = "9" * 17
    _, file = read(tmp_path, f"{HEADER}t1,1{END}TOTAL,{total}.50,INR,1,\n")
    assert file.footer[0].amount == f"{total}.50"


def test_lines_to_skip_end_with_the_file(tmp_path: Path) -> None:
    for many in (3, 10**9, 10**30):
        said = refusal(tmp_path, f"{HEADER}t1,1{END}", "--skip-lines", str(many))
        assert f"has 2 lines, --skip-lines leaves out {many}" in said


HINTS = [
    ("t1,\"107,23\"" + END, [], "--decimal ,"),
    ("t1,\"1,230\"" + END, [], "--group comma"),
    ("t1,1.230" + END, [], "--group point"),
    ("t1,1.230" + END, [], "--group none"),
    ("t1,1.234" + END, [], "--group point"),
    ("t1,\"1.230,50\"" + END, [], "--group point"),
    ("t1,\"1,230.50\"" + END, ["--decimal", ","], "--group comma"),
    ("t1,\"12,30,500.50\"" + END, [], "--group comma"),
    ("t1,1 230.50" + END, [], "--group blank"),
    ("t1,\"1 230,50\"" + END, [], "--group blank --decimal ,"),
    ("t1,1'230.50" + END, [], "--group apostrophe"),
    ("t1,1,INR,Settled today,2025-03-01\n", [], "--status 'Settled today=SUCCESS'"),
    ("t1,1,INR,it's,2025-03-01\n", [], """--status 'it'"'"'s=SUCCESS'"""),
    ("t1,1,Rs,SUCCESS,2025-03-01\n", [], "--map currency==USD"),
    ("t1,1,INR,SUCCESS,19/11/2026\n", [], "--date-format %d/%m/%Y"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "before", "hint"), HINTS)
def test_a_hint_of_the_reader_leads_to_a_command_that_works(
    tmp_path: Path, line: str, before: list[str], hint: str
) -> None:
    said = refusal(tmp_path, HEADER + line, *before).partition(" Next: ")[2]
    assert hint in said
    after = [] if "without --decimal" in said and "--group" in hint and "--decimal" not in hint else before
    assert len(read(tmp_path, HEADER + line, *after, *shlex.split(hint))[0]) == 1


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("sep=,\n" + HEADER + "t1,1" + END, "--skip-lines 1"),
        ("Account;1\n\nfrom;to\n" + HEADER + "t1,1" + END, "--skip-lines 3"),
        ('"Account 1\nfrom,to\n' + HEADER + "t1,1" + END, "--skip-lines 2"),
        ('Account of "The Shop\n' + HEADER + "t1,1" + END, "--skip-lines 1"),
        ('"Account 1\n' + HEADER + f"t1,1{END}" * 25_000, "--skip-lines 1"),
        ((HEADER + "t1,1" + END).encode("utf-16-le"), "--encoding utf-16-le"),
        ((HEADER + "t1,1" + END).encode("utf-16-be"), "--encoding utf-16-be"),
        ((HEADER + "té,1" + END).encode("cp1252"), "--encoding cp1252"),
        ("Ref,amount,currency,status,date\nt1,1" + END, "--map transaction_id=Ref"),
        ("transaction_id,amount,currency,date\nt1,1,INR,2025-03-01\n", "--map status==SUCCESS"),
        ('transaction_id,"Amount, EUR",currency,status,date\nt1,1' + END, "--map 'amount=Amount, EUR'"),
    ],
)  # fmt: skip
def test_a_hint_about_the_header_leads_to_a_command_that_works(tmp_path: Path, content: str | bytes, hint: str) -> None:
    said = refusal(tmp_path, content)
    option, value = shlex.split(hint)
    form = {"--map": f"--map {value.partition('=')[0]}=", "--encoding": "--encoding"}.get(option, hint)
    assert form in said
    assert len(read(tmp_path, content, option, value)[0]) >= 1


def test_a_quote_that_is_never_closed_swallows_few_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    ways = header._ways
    monkeypatch.setattr(header, "_ways", lambda lines, dialect: taken.append(len(lines)) or ways(lines, dialect))
    for content in ('"Account 1\n' + "x,y\n" * 5_000, f'"{"a" * 9_000}\n{"b" * 2_000}\n' + "c\n" * 5_000):
        assert "the header has no column transaction_id" in refusal(tmp_path, content)
    assert 2 <= max(taken) <= 20
    assert len(taken) < 300


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ("amount,currency,status,date", [], "--map transaction_id=NAME"),
        ("transaction_id,currency,status,date", [], "--map credit=NAME,debit=NAME"),
        ("transaction_id,debit,currency,status,date", ["--map", "credit=credit,debit=debit"], "--map credit=NAME"),
    ],
)
def test_a_column_that_no_constant_can_stand_for_is_not_said_to_have_one(
    tmp_path: Path, columns: str, options: list[str], words: str
) -> None:
    said = refusal(tmp_path, f"{columns}\n1,2,3,4\n", *options)
    assert words in said
    assert "==" not in said


@pytest.mark.parametrize(
    ("footer", "hint"), [("TOTAL,1.000,EUR,1,", "--group point"), ('Total,"5,50",EUR,1,', "--decimal ,")]
)
def test_a_footers_wrong_value_has_the_hint_of_the_value(tmp_path: Path, footer: str, hint: str) -> None:
    content = f"{HEADER}t1,5,EUR,SUCCESS,2025-03-01\n{footer}\n"
    said = refusal(tmp_path, content)
    assert "line 3" in said
    assert hint in said
    assert len(read(tmp_path, content, *hint.split())[0]) == 1


WRONG = [
    ("--group", "x"), ("--group", ""), ("--group", ".,"), ("--decimal", ""), ("--decimal", "x"), ("--zone", ""),
    ("--zone", "Mars/Olympus"), ("--zone", "+99:99"), ("--zone", "../etc/passwd"), ("--zone", "Europe"),
    ("--zone", "\0"),
    ("--zone", "+14:01"), ("--where", "Type"), ("--where", "=x"), ("--where", ""), ("--map", "credit=C"),
    ("--map", "credit=C,debit=D,amount=A"), ("--map", "credit==1,debit=D"), ("--map", ""), ("--map", "[/x]=y"),
    ("--status", "A=B"), ("--status", "=SUCCESS"), ("--encoding", ""), ("--encoding", "rot13"), ("--encoding", "a\0b"),
    ("--encoding", "undefined"), ("--encoding", "klingon"), ("--date-format", ""), ("--date-format", "%"),
    ("--date-format", "%d/%m"), ("--date-format", "%Y-%m"), ("--date-format", "\0"), ("--date-format", "\ud800"),
    ("--delimiter", ""), ("--delimiter", '"'), ("--delimiter", "\n"), ("--delimiter", "\0"), ("--delimiter", "ab"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), WRONG)
def test_an_option_that_makes_no_sense_is_misuse(option: str, value: str) -> None:
    with pytest.raises(MisuseError):
        dialect_of((option, value))
    with pytest.raises(MisuseError):
        dialect_of(("--group", ".", "--decimal", "."))


def test_a_constant_that_is_no_value_is_misuse(tmp_path: Path) -> None:
    for constant in ("currency==rupees", "status==odd", "date==99"):
        with pytest.raises(MisuseError, match=f"--map {constant}"):
            read(tmp_path, f"{HEADER}t1,1{END}", "--map", constant)


@given(st.text(max_size=20), st.text(max_size=20))
@example("Währung", "Wa\u0308hrung ")
@example("ß", "SS")
def test_folding_a_name_twice_changes_nothing(one: str, other: str) -> None:
    assert folded(folded(one)) == folded(one)
    assert folded(one) != folded(other) or folded(one + other) == folded(other + one) or one != other
