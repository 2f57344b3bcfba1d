"""Lengths of time as people write them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.spans import LONGEST, parse_span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 26 h ", timedelta(hours=26)),
        ("0d", timedelta(0)),
        ("36525d", LONGEST),
    ],
)
def test_a_span_is_a_number_with_its_unit(text: str, span: timedelta) -> None:
    assert parse_span(text) == span
    assert datetime(2000, 1, 1, tzinfo=UTC) - span


@pytest.mark.parametrize(
    "text", ["", "3", "d", "-1d", "1.5h", "800000d", "9" * 5_000 + "s", "\u0663d", "1d1d", "inf", "3D"]
)
def test_what_is_no_span_or_a_longer_one_than_a_hundred_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number|is longer"):
        parse_span(text)


@given(st.text())
def test_every_text_is_a_span_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert timedelta(0) <= parse_span(text) <= LONGEST
