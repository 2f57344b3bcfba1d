# ruff: noqa: E501  (a case a line)
"""Badly formed files, after the kinds of the public Pollock benchmark: read right, or refused with line and reason."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
from ingest_files import GOOD, HEADER, read, write_mapping

from data_generator.ingest.check_pass import check_file
from data_generator.ingest.errors import SourceError
from data_generator.ingest.run import Asked, FileRunner
from data_generator.ingest.source import Source

ROW = "b1,c1,Shop,1.00,USD,2024-05-01 10:00:00\n"
SEMICOLON = "csv: {delimiter: ';'}"
SEVERAL = HEADER.replace(",", ";") + ROW.replace(",", ";").replace("1.00", "1,00")


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, HEADER + GOOD)
    return out.getvalue()


# name: content, keys of the mapping, how amounts are written, the ids that are read
READ_RIGHT: dict[str, tuple[str | bytes, str, str, list[str]]] = {
    "as it should be": (HEADER + GOOD, "", "", ["a1", "a2"]),
    "no line end after the last row": ((HEADER + GOOD).rstrip("\n"), "", "", ["a1", "a2"]),
    "line ends of Windows": ((HEADER + GOOD).replace("\n", "\r\n"), "", "", ["a1", "a2"]),
    "line ends of old Macs": ((HEADER + GOOD).replace("\n", "\r"), "", "", ["a1", "a2"]),
    "line ends mixed": (HEADER + GOOD.replace("\n", "\r\n", 1), "", "", ["a1", "a2"]),
    "byte order mark": (b"\xef\xbb\xbf" + (HEADER + GOOD).encode(), "", "", ["a1", "a2"]),
    "UTF-16 with mark": ((HEADER + GOOD).encode("utf-16"), "", "", ["a1", "a2"]),
    "UTF-32 with mark": ((HEADER + GOOD).encode("utf-32"), "", "", ["a1", "a2"]),
    "UTF-16 that the mapping states": ((HEADER + GOOD).encode("utf-16-be"), "csv: {encoding: utf-16-be}", "", ["a1", "a2"]),
    "another encoding that is stated": (
        (HEADER + ROW.replace("Shop", "Café")).encode("cp1252"), "csv: {encoding: cp1252}", "", ["b1"]),
    "semicolons and decimal comma": (SEVERAL, SEMICOLON, "decimal: ','", ["b1"]),
    "tabs": ((HEADER + ROW).replace(",", "\t"), 'csv: {delimiter: "\\t"}', "", ["b1"]),
    "bars": ((HEADER + ROW).replace(",", "|"), "csv: {delimiter: '|'}", "", ["b1"]),
    "single quotes": (HEADER + ROW.replace("Shop", "'Shop, the'"), 'csv: {quote: "\'"}', "", ["b1"]),
    "a quote doubled within quotes": (HEADER + ROW.replace("Shop", '"The ""Shop"""'), "", "", ["b1"]),
    "a quote escaped within quotes": (HEADER + ROW.replace("Shop", r'"The \"Shop\""'), r"csv: {escape: '\'}", "", ["b1"]),
    "everything quoted": (HEADER + ",".join(f'"{each}"' for each in ROW.strip().split(",")) + "\n", "", "", ["b1"]),
    "a quote within a plain value": (HEADER + ROW.replace("Shop", 'Screens 27" wide'), "", "", ["b1"]),
    "no quotes at all": (HEADER + ROW.replace("Shop", '"Shop'), "csv: {quote: ''}", "", ["b1"]),
    "a line break within quotes": (HEADER + ROW.replace("Shop", '"Shop\nsecond floor"') + GOOD, "", "", ["b1", "a1", "a2"]),
    "blanks after the delimiter": ((HEADER + ROW).replace(",", ", "), "csv: {skip_blanks: true}", "", ["b1"]),
    "blanks around the header": (HEADER.replace(",", " ,") + ROW, "", "", ["b1"]),
    "blank lines between": (HEADER + "\n" + ROW + "\n\n" + GOOD + "\n", "", "", ["b1", "a1", "a2"]),
    "rows of delimiters alone": (HEADER + ROW + ",,,,,\n", "", "", ["b1"]),
    "lines before the header": ("Export of May\n\n" + HEADER + ROW, "csv: {skip_lines: 2}", "", ["b1"]),
    "no header": (ROW, "csv: {columns: [id, customer, shop, amount, currency, at]}", "", ["b1"]),
    "further columns and another order": ("x,at,currency,amount,shop,customer,id\n0,2024-05-01 10:00:00,USD,1.00,S,c,b1\n", "", "", ["b1"]),
    "a column that nobody needs, twice": ("x,x," + HEADER + "0,0," + ROW, "", "", ["b1"]),
    "gzip": (gzip.compress((HEADER + GOOD).encode()), "", "", ["a1", "a2"]),
    "gzip of two parts": (gzip.compress(HEADER.encode()) + gzip.compress(GOOD.encode()), "", "", ["a1", "a2"]),
    "zip": (zipped("a.csv"), "", "", ["a1", "a2"]),
    "zip with a Mac's additions": (zipped("a.csv", "__MACOSX/a.csv", ".DS_Store"), "", "", ["a1", "a2"]),
    "zip of several, one named": (zipped("a.csv", "b.csv"), "member: b.csv", "", ["a1", "a2"]),
    "thousands set apart": (HEADER + ROW.replace("1.00", '"1,234.50"'), "", "group: ','", ["b1"]),
    "currency signs": (HEADER + ROW.replace("1.00", "$ 1.00"), "", "symbols: [$]", ["b1"]),
    "JSON lines without a key that may be null": (
        '{"id":"b1","shop":"S","amount":1,"currency":"USD","at":"2024-05-01 10:00:00"}\n', "format: json-lines", "", ["b1"]),
    "JSON lines": ('{"id":"b1","customer":"c","shop":"S","amount":1.50,"currency":"USD","at":"2024-05-01 10:00:00"}\n',
                   "format: json-lines", "", ["b1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", READ_RIGHT)
def test_a_file_of_an_unusual_form_is_read_right(name: str, tmp_path: Path) -> None:
    content, keys, written, ids = READ_RIGHT[name]
    found = read(tmp_path, content, write_mapping(tmp_path, keys, written=written))
    assert [json.loads(value)["transaction_id"] for value in found.sent] == ids
    assert found.refused == []


# name: content, keys of the mapping, the line and the reason of each refused row, the ids that are read all the same
REFUSED_ROWS: dict[str, tuple[str | bytes, str, list[tuple[int, str]], list[str]]] = {
    "a row too short": (HEADER + "b1,c1,Shop,1.00,USD\n" + GOOD, "", [(2, "ROW_WIDTH")], ["a1", "a2"]),
    "a row too long": (HEADER + GOOD + ROW.replace("Shop", "Shop,the"), "", [(4, "ROW_WIDTH")], ["a1", "a2"]),
    "a quote that never closes": (HEADER + ROW.replace("Shop", '"Shop') + GOOD, "", [(2, "ROW_QUOTE")], ["a1", "a2"]),
    "a quote that never closes, in the last row": (HEADER + GOOD + ROW.replace("Shop", '"Shop'), "", [(4, "ROW_QUOTE")], ["a1", "a2"]),
    "a quote that takes in rows": (
        HEADER + 'b1,c1,"Shop,1.00,USD,2024-05-01 10:00:00\n' + ROW + 'b3,c3,Shop",1.00,USD,2024-05-01 10:00:00\n',
        "", [(2, "ROW_QUOTE")], []),
    "text after a closed quote": (HEADER + ROW.replace("Shop", '"Shop" One') + GOOD, "", [(2, "ROW_QUOTE")], ["a1", "a2"]),
    "bytes of another encoding": ((HEADER + ROW.replace("Shop", "Café")).encode("cp1252") + GOOD.encode(), "",
                                  [(2, "ROW_ENCODING")], ["a1", "a2"]),
    "the character 0": (HEADER + ROW.replace("Shop", "Sh\0op") + GOOD, "", [(2, "NUL_CHARACTER")], ["a1", "a2"]),
    "an amount with a decimal comma": (HEADER + ROW.replace("1.00", '"1,00"'), "", [(2, "VALUE_FORM")], []),
    "an amount with too many digits": (HEADER + ROW.replace("1.00", "1.001"), "", [(2, "AMOUNT_SCALE")], []),
    "an amount with an exponent": (HEADER + ROW.replace("1.00", "1E3"), "", [(2, "VALUE_FORM")], []),
    "no amount": (HEADER + ROW.replace("1.00", ""), "", [(2, "AMOUNT_MISSING")], []),
    "a date that does not exist": (HEADER + ROW.replace("05-01", "02-30"), "", [(2, "TIME_FORM")], []),
    "a date of another form": (HEADER + ROW.replace("2024-05-01", "01/05/2024"), "", [(2, "TIME_FORM")], []),
    "a header repeated in the middle": (HEADER + ROW + HEADER, "", [(3, "VALUE_FORM")], ["b1"]),
    "a line that is no JSON": ("not json\n" + json.dumps({"id": "b1", "customer": "c", "shop": "S", "amount": "1",
                               "currency": "USD", "at": "2024-05-01 10:00:00"}), "format: json-lines", [(1, "ROW_NO_JSON")], ["b1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_ROWS)
def test_a_bad_row_is_refused_with_line_and_reason_and_takes_no_other_along(name: str, tmp_path: Path) -> None:
    content, keys, refused, ids = REFUSED_ROWS[name]
    found = read(tmp_path, content, write_mapping(tmp_path, keys))
    assert [each.record.line for each in found.refused] == [line for line, _ in refused]
    assert all(code in codes for (_, code), codes in zip(refused, found.codes, strict=True))
    assert [json.loads(value)["transaction_id"] for value in found.sent] == ids


# name: content, keys of the mapping, what the error says
REFUSED_FILES: dict[str, tuple[str | bytes, str, str]] = {
    "empty": ("", "", "it is empty|not even a header"),
    "another delimiter": ((HEADER + ROW).replace(",", ";"), "", "with a semicolon they are there"),
    "a column missing": (HEADER.replace("shop", "store") + ROW, "", "line 1: there is no column shop"),
    "a column twice": (HEADER.replace("customer", "id") + ROW, "", "there is no column customer"),
    "a needed column twice": ("id," + HEADER + "0," + ROW, "", "the column id is there 2 times"),
    "no header where one is due": (ROW + GOOD, "", "there is no column id"),
    "UTF-16 without mark": ((HEADER + GOOD).encode("utf-16-le"), "", "UTF-16 without a byte order mark"),
    "UTF-16 cut off": ((HEADER + GOOD).encode("utf-16")[:-1], "", "no utf-16-le text"),
    "a quote open in the header": ('"' + HEADER + ROW, "", "a quote of the header is opened"),
    "gzip cut off": (gzip.compress((HEADER + GOOD * 500).encode())[:-20], "", "damaged or cut off"),
    "gzip with wrong bytes": (gzip.compress((HEADER + GOOD).encode())[:-8] + b"\0" * 8, "", "damaged or cut off"),
    "zip of several": (zipped("a.csv", "b.csv"), "", "it holds 2 files: a.csv, b.csv"),
    "zip without the named one": (zipped("a.csv"), "member: c.csv", "there is no c.csv in it"),
    "zip of nothing": (b"PK\x03\x04 and no more", "", "damaged or cut off"),
    "no line ends": (HEADER.strip() + "x" * (1 << 20), "", "the line has more than"),
    "Parquet called CSV": (b"PAR1....PAR1", "", "it is Parquet"),
    "CSV called Parquet": (HEADER + ROW, "format: parquet", "it is no Parquet"),
    "Parquet cut off": (b"PAR1....", "format: parquet", "no Parquet, or damaged"),
    "a JSON array": ('[{"id": 1}]', "format: json-lines", "it is a JSON array"),
    "JSON without a key": ('{"id": "b1"}\n', "format: json-lines", "no line has the key amount"),
}


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    content, keys, said = REFUSED_FILES[name]
    with pytest.raises(SourceError, match=said) as error:
        read(tmp_path, content, write_mapping(tmp_path, keys))
    assert "Next: " in str(error.value)


def test_a_quote_that_never_closes_takes_none_of_many_rows_along(tmp_path: Path) -> None:
    rows = "".join(f"n{number},c1,Shop,1.00,USD,2024-05-01 10:00:00\n" for number in range(5_000))
    found = read(tmp_path, HEADER + ROW.replace("Shop", '"Shop') + rows)
    assert (len(found.sent), found.codes) == (5_000, [{"ROW_QUOTE"}])
    long = read(tmp_path, HEADER + ROW.replace("Shop", "x" * 200_000) + GOOD)
    assert (len(long.sent), long.codes) == (2, [{"ROW_TOO_LONG"}])


@pytest.mark.parametrize("name", ["", "x" * 1_025, "caf\udce9.csv", "a\0"])
def test_a_name_that_the_books_cannot_hold_is_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(HEADER + GOOD, encoding="utf-8")
    with pytest.raises(SourceError, match="--name NAME"):
        FileRunner(write_mapping(tmp_path), Asked(), "").run(Source(file, name))


FOOTER = "csv: {footer: {begins: TOTAL, rows: 2, amount: 3}}"


@pytest.mark.parametrize(
    ("footer", "said"),
    [
        ("TOTAL,2,17.50\n", None),
        ("TOTAL,3,17.50\n", "its footer says 3 rows, and there are 2"),
        ("TOTAL,2,17.49\n", "its footer says 17.49 USD, and the rows sum to 17.50"),
        ("TOTAL,2\n", "its footer has 2 values, and value 3 is asked for"),
        ("", "no line begins with TOTAL: its footer is missing"),
    ],
)
def test_a_footer_that_the_mapping_names_has_to_be_right(footer: str, said: str | None, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(HEADER + GOOD + footer, encoding="utf-8")
    mapping = write_mapping(tmp_path, FOOTER)
    if said is None:
        assert check_file(Source(file, "file.csv"), mapping, "", 0).sums.rows == 2
        return
    with pytest.raises(SourceError, match=said):
        check_file(Source(file, "file.csv"), mapping, "", 0)


def test_there_are_as_many_bad_files_as_promised() -> None:
    assert len(READ_RIGHT) + len(REFUSED_ROWS) + len(REFUSED_FILES) >= 70
