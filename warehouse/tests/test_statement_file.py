"""A statement is read exactly, or refused with its line and column. No service needed."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.layout import CHECKOUT
from warehouse.reconcile.dialect import Dialect, make_dialect
from warehouse.reconcile.errors import MisuseError, StatementFileError
from warehouse.reconcile.footer import check_footer, days_of_footer
from warehouse.reconcile.statement_file import StatementFile, StatementLine
from warehouse.reconcile.values import Values, WrongValueError

DIGITS = dict(load_entity(PAYMENTS).currencies)
HEADER = "transaction_id,amount,currency,status,date\n"
LINE = "t1,107.23,INR,SUCCESS,2026-11-19\n"
SAMPLES = CHECKOUT / "data" / "samples"


def dialect(
    *maps: str, statuses: tuple[str, ...] = (), delimiter: str | None = None, decimal: str = ".", **other: Any
) -> Dialect:
    return make_dialect(maps, statuses, delimiter, decimal, **other)


def read(tmp_path: Path, content: str | bytes, how: Dialect | None = None) -> tuple[list[StatementLine], StatementFile]:
    path = tmp_path / "statement.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    file = StatementFile(path, how or Dialect(), DIGITS)
    return list(file.lines()), file


def refusal(tmp_path: Path, content: str | bytes, how: Dialect | None = None) -> str:
    with pytest.raises(StatementFileError) as caught:
        read(tmp_path, content, how)
    assert "nothing was compared or written." in str(caught.value)
    return str(caught.value)


WHOLE = StatementLine(2, "t1", "107.23", "INR", "SUCCESS", "2026-11-19")


@pytest.mark.parametrize(
    "content",
    [
        HEADER + LINE,
        "\ufeff" + HEADER + LINE,
        (HEADER + LINE).encode("utf-16"),
        gzip.compress((HEADER + LINE).encode()),
        (HEADER + LINE).replace("\n", "\r\n"),
        (HEADER + LINE).replace(",", ";"),
        (HEADER + LINE).replace(",", "\t"),
        HEADER.upper() + "t1, 107.23 ,inr,success ,2026-11-19T08:30:00+05:30",
        "date,status,other,currency,amount,transaction_id\n2026-11-19,SUCCESS,\"a,b\",INR,107.23,t1\n",
    ],
    ids=["plain", "mark", "utf-16", "gzip", "crlf", "semicolons", "tabs", "untidy", "other order"],
)  # fmt: skip
def test_a_line_is_the_same_however_the_file_is_written(tmp_path: Path, content: str | bytes) -> None:
    assert read(tmp_path, content)[0] == [WHOLE]


def test_columns_constants_words_and_dates_can_be_mapped(tmp_path: Path) -> None:
    how = dialect(
        "transaction_id=Ref,amount=Betrag,date=Datum", "currency==EUR", "status=State",
        statuses=("settled=SUCCESS",), decimal=",", date_format="%d.%m.%Y", skip_lines=2, encoding="cp1252",
    )  # fmt: skip
    content = "Konto;1\n;\nRef;Betrag;Datum;State;Händler\nx;12,5;19.11.2026;Settled;Café\n".encode("cp1252")
    assert read(tmp_path, content, how)[0] == [StatementLine(4, "x", "12.5", "EUR", "SUCCESS", "2026-11-19")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('t2,"107,23",INR,SUCCESS,2026-11-19', "line 3, column amount: '107,23' is no plain decimal number"),
        ('t2,"1,107.23",INR,SUCCESS,2026-11-19', "column amount: '1,107.23' is no plain"),
        ("t2,$107.23,INR,SUCCESS,2026-11-19", "column amount: '$107.23'"),
        ("t2,(107.23),INR,SUCCESS,2026-11-19", "column amount"),
        ("t2,1.07E+2,INR,SUCCESS,2026-11-19", "column amount"),
        ("t2,,INR,SUCCESS,2026-11-19", "column amount: '' is no plain"),
        ("t2,1.234,INR,SUCCESS,2026-11-19", "more than the 2 digits of INR"),
        ("t2,1.5,JPY,SUCCESS,2026-11-19", "more than the 0 digits of JPY"),
        ("t2,1,RUPEES,SUCCESS,2026-11-19", "column currency: 'RUPEES'"),
        ("t2,1,INR,SETTLED,2026-11-19", "column status: 'SETTLED' is no status"),
        ("t2,1,INR,SUCCESS,19/11/2026", "column date: '19/11/2026' is no date"),
        ("t2,1,INR,SUCCESS,2026-02-30", "column date: '2026-02-30'"),
        ("t2,1,INR,SUCCESS,20261119", "column date"),
        (",1,INR,SUCCESS,2026-11-19", "column transaction_id: '' is no transaction id"),
        ("t\x002,1,INR,SUCCESS,2026-11-19", "column transaction_id"),
        ("t2,1,INR,SUCCESS", "line 3: has 4 values, the header has 5"),
        ("t2,1,INR,SUCCESS,2026-11-19,more", "has 6 values, the header has 5"),
        ('t2,1,INR,SUCCESS,"2026-11-19', "cannot be read as CSV"),
        ('"t2"x,1,INR,SUCCESS,2026-11-19', "line 3: cannot be read as CSV"),
        ("TOTAL,107.23,INR,one,2026-11-19", "line 3, column status: 'one' of the footer is no count"),
        ("TOTAL,107.23,INR,1,\nt3,1,INR,SUCCESS,2026-11-19", "line 4: a payment stands behind the footer"),
    ],
)
def test_a_damaged_line_is_named_by_line_and_column(tmp_path: Path, line: str, said: str) -> None:
    assert said in refusal(tmp_path, HEADER + LINE + line)


def test_zeros_behind_the_digits_of_a_currency_are_no_more_digits(tmp_path: Path) -> None:
    lines, _ = read(tmp_path, HEADER + "a,1.5000,INR,SUCCESS,2026-11-19\nb,7.00,JPY,PENDING,2026-11-19\n")
    assert [line.amount for line in lines] == ["1.5000", "7.00"]


def test_a_value_that_is_no_text_matters_only_where_it_is_compared(tmp_path: Path) -> None:
    header = b"transaction_id,amount,currency,status,date,merchant\n"
    line = b"t1,107.23,INR,SUCCESS,2026-11-19,caf\xe9\n"
    assert read(tmp_path, header + line)[0] == [WHOLE]
    assert "line 2, column transaction_id" in refusal(tmp_path, header + line.replace(b"t1", b"t\xe9"))


def test_a_file_that_breaks_off_or_is_none_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + LINE * 50_000).encode())
    assert "compressed data is damaged or cut off" in refusal(tmp_path, packed[: len(packed) // 2])
    assert "holds no header line" in refusal(tmp_path, "\n\n")
    assert "the header has no column" in refusal(tmp_path, b"PK\x03\x04" + bytes(100))
    assert "has no column status, date; it has 'transaction_id, amount, currency'" in refusal(
        tmp_path, "transaction_id,amount,currency\n"
    )
    assert "column amount: the header has amount more than once" in refusal(tmp_path, HEADER[:-1] + ",amount\n")
    with pytest.raises(StatementFileError, match="No such file"):
        list(StatementFile(tmp_path / "none.csv", Dialect(), DIGITS).lines())


def test_real_files_that_spreadsheets_damaged_are_refused_and_never_guessed() -> None:
    how = dialect("transaction_id=trans_num,amount=amt,date=trans_date_trans_time", "currency==USD,status==SUCCESS")
    for name in ("scientific_cards.csv", "day_month_dates.csv"):
        with pytest.raises(StatementFileError, match=r"line 2, column trans_date_trans_time: '.*' is no date"):
            list(StatementFile(SAMPLES / "damaged" / name, how, DIGITS).lines())
    how = dialect("transaction_id=id", "currency==USD,status==SUCCESS")
    for name, amount in (("spreadsheet_amounts.csv", r"\$0\.72"), ("card_transactions.csv", r"\$-77\.00")):
        with pytest.raises(StatementFileError, match=rf"line 2, column amount: '{amount}' is no plain decimal number"):
            list(StatementFile(SAMPLES / "statements" / name, how, DIGITS).lines())


def test_the_footer_is_held_against_the_lines(tmp_path: Path) -> None:
    content = HEADER + LINE + "TOTAL,107.23,INR,2,2026-11-19\nTOTAL,0.00,USD,0,\nGrand total,,,1,2026-11-20\n"
    lines, file = read(tmp_path, content)
    assert [line.transaction_id for line in lines] == ["t1"]
    checks = check_footer(file.footer, {"INR": (1, 107), "EUR": (2, 5)})
    assert [(c.line, c.currency, c.figure, c.stated, c.found) for c in checks if not c.agrees] == [
        (3, "INR", "count", "2", "1"),
        (3, "INR", "amount", "107.23", "107"),
        (5, None, "count", "1", "3"),
        (5, "EUR", "count", "0", "2"),
    ]
    assert [str(day) for day in days_of_footer(file.footer)] == ["2026-11-19", "2026-11-20"]


@pytest.mark.parametrize(
    "wrong", [{"maps": ["amt=amount"]}, {"maps": ["amount"]}, {"maps": ["amount==1"]}, {"statuses": ["A=B"]}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(MisuseError):
        make_dialect(wrong.get("maps", []), wrong.get("statuses", []), None, ".")


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(DIGITS)))
def test_every_amount_of_a_currency_is_taken_exactly(units: int, currency: str) -> None:
    digits = DIGITS[currency]
    sign, text = "-" if units < 0 else "", str(abs(units)).rjust(digits + 1, "0")
    plain = f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else sign + text
    values = Values(Dialect(), DIGITS)
    assert values.amount(plain, currency) == plain
    comma = Values(dialect(decimal=","), DIGITS)
    assert comma.amount(plain.replace(".", ","), currency) == plain
    if digits:
        for reader, text in ((values, plain.replace(".", ",")), (comma, plain)):
            with pytest.raises(WrongValueError):
                reader.amount(text, currency)


@given(st.text(max_size=30))
def test_no_text_is_taken_for_an_amount_that_is_not_a_plain_number(text: str) -> None:
    try:
        taken = Values(Dialect(), DIGITS).amount(text, "KWD")
    except WrongValueError:
        return
    assert taken == text.strip()
    assert set(taken) <= set("-.0123456789")


@pytest.mark.parametrize("name", ["CET", "EET", "met", "WET"])
def test_a_zone_that_the_database_takes_for_a_fixed_offset_goes_by_a_name_that_both_know(name: str) -> None:
    zone = dialect(zone=name).zone
    assert zone is not None
    assert zone.name.startswith("Europe/")
    assert zone.offset is None


@pytest.mark.parametrize("form", ["%d/%m/%Y %d", "%d/%m/%Y %Z", "%H:%M"])
def test_a_date_format_that_cannot_be_is_misuse(form: str) -> None:
    with pytest.raises(MisuseError, match="--date-format"):
        dialect(date_format=form)


def test_a_date_format_may_have_an_offset(tmp_path: Path) -> None:
    text = HEADER + "t1,107.23,INR,SUCCESS,19/11/2026 23:30:00 +0530\n"
    how = dialect(date_format="%d/%m/%Y %H:%M:%S %z")
    assert read(tmp_path, text, how)[0] == [WHOLE]


def test_zeros_behind_the_digits_of_an_amount_do_not_count(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + LINE.replace("107.23", "107.2300000"))[0] == [
        StatementLine(2, "t1", "107.2300000", "INR", "SUCCESS", "2026-11-19")
    ]


@pytest.mark.parametrize("amount", ["12.3456", "9999999999999999.9999", "1e3", ".50"])
def test_no_hint_is_given_that_cannot_help(tmp_path: Path, amount: str) -> None:
    said = refusal(tmp_path, HEADER + LINE.replace("107.23", amount))
    assert "--group" not in said
    assert "brackets" not in said


def test_a_workbook_is_called_one(tmp_path: Path) -> None:
    assert "save it as CSV" in refusal(tmp_path, b"PK\x03\x04\0\0\x08\0" + bytes(range(256)))
