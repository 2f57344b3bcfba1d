"""Other people's text: what a terminal, a table and a spreadsheet get of it."""

import csv
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.text import Text

from core.console import PlainConsole, PlainTable
from core.csv_text import CsvWriter, guarded, unguarded
from core.text import shown, shown_lines

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NASTY = st.lists(
    st.sampled_from(
        [
            "[",
            "[/",
            "]",
            "[red]",
            "\x1b[2J",
            "\x1b]0;x\x07",
            "\x9b31m",
            "\u200b",
            "\u202e",
            " ",
            "=",
            "a",
            ":bomb:",
            "\\",
        ]
    ),
    max_size=12,
).map("".join)


@given(ANY_TEXT | NASTY)
def test_shown_text_has_only_characters_that_can_be_seen(text: str) -> None:
    result = shown(text)
    assert all(unicodedata.category(char)[0] not in "CZ" or char == " " for char in result)
    assert result == result.strip(" ")
    assert "  " not in result


@given(ANY_TEXT, ANY_TEXT)
@example("a", "a\u200b")
@example("CX1600", "CX1600 ")
@example("a b", "a  b")
@example("Währung", unicodedata.normalize("NFD", "Währung"))
def test_two_texts_that_differ_are_shown_differently(one: str, other: str) -> None:
    assert one == other or shown(one) != shown(other) or "<U+" in one or "<U+" in other


def test_usual_text_is_shown_as_it_is() -> None:
    for text in ("tx-1", "Café Zürich", "Jürgen & Söhne", "東京", "a b", "[x]", "", "नमस्ते"):
        assert shown(text) == text


@given(ANY_TEXT | NASTY)
def test_a_table_and_a_console_print_the_text_and_no_escape(text: str) -> None:
    out = io.StringIO()
    console = PlainConsole()
    console.file = out
    table = PlainTable("name", "verdict")
    table.add_row(text, Text("OK", style="green"))
    console.print(table)
    console.print(f"feed {shown(text)}")
    printed = out.getvalue()
    assert f"feed {shown(text)}" in printed.replace("\n", "") or len(text) > 100
    assert shown(text) in printed.splitlines()[1]
    assert all(char.isprintable() or char == "\n" for char in printed)


def test_lines_keep_their_ends_and_their_indentation() -> None:
    assert shown_lines("  a\n\tb\x1b[1m\r\n") == "  a\n\tb<U+001B>[1m<U+000D>\n"


@given(
    st.lists(
        ANY_TEXT | st.sampled_from(["=1+1", "+x", "-x", "@x", "'=1", "\t=", "-12.50", "+3", "\uff1d1"]), min_size=1
    )
)
def test_no_cell_of_a_csv_file_is_a_formula_and_the_text_comes_back(cells: list[str]) -> None:
    out = io.StringIO(newline="")
    CsvWriter(out).writerow(cells)
    read = next(csv.reader(io.StringIO(out.getvalue(), newline="")), [""])
    for cell in read:
        assert not cell.startswith(("=", "@", "\t", "\r")), cell
        assert not cell.startswith(("+", "-")) or cell[1:].replace(".", "", 1).isdigit()
    assert [unguarded(cell) for cell in read] == cells


def test_a_number_stays_a_number() -> None:
    assert [guarded(value) for value in ("-12.50", "+3", 5, None, "-x")] == ["-12.50", "+3", 5, None, "'-x"]


@pytest.mark.parametrize(
    ("one", "other"), [("\u212a1", "K1"), ("\u1100\u1161", "\uac00"), ("\u0958", "\u0915\u093c"), ("\u2126", "\u03a9")]
)
def test_a_letter_that_another_one_stands_for_is_spelt_out(one: str, other: str) -> None:
    assert shown(one) != shown(other)
    assert "<U+" in shown(one) + shown(other)
