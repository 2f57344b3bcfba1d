from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orjson import dumps

from data_generator.money import amount_text, minor_units
from data_generator.payments import exact_amount

UNITS = st.integers(min_value=-(10**15), max_value=10**15)


@given(UNITS, st.sampled_from([0, 2, 3, 4]))
def test_an_amount_is_the_same_number_as_text_and_has_exactly_the_currency_s_digits(units: int, digits: int) -> None:
    text = amount_text(units, digits)
    assert Decimal(text) == Decimal(units).scaleb(-digits)
    assert len(text.partition(".")[2]) == digits


@given(st.integers(min_value=-(10**13), max_value=10**13), st.sampled_from([0, 2, 3]))
def test_text_and_minor_units_are_each_other_s_inverse(units: int, digits: int) -> None:
    assert minor_units(amount_text(units, digits), digits) == units


@given(UNITS)
def test_an_amount_in_json_is_a_number_written_out_exactly(units: int) -> None:
    written = dumps({"amount": exact_amount(units)}).decode()
    assert written == f'{{"amount":{amount_text(units, 2)}}}'


NOT_PLAIN = ["", "1e3", "1,000.00", "$5", " 5", "5 ", "+5", ".5", "5.", "NaN", "1.234", "\u0661\u0662", "5.0\n"]


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_text_that_is_no_plain_decimal_of_the_currency_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"plain decimal|digits behind the point"):
        minor_units(text, 2)


@pytest.mark.parametrize(("text", "units"), [("4.97", 497), ("4.9", 490), ("5", 500), ("0.01", 1), ("-12.30", -1230)])
def test_fewer_digits_than_the_currency_has_are_exact_too(text: str, units: int) -> None:
    assert minor_units(text, 2) == units
