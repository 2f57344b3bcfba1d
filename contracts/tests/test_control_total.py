"""What a feed says of itself: written and read back without losing a cent, and refused when it is no total."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control_total import ControlTotal, ControlTotalError, Money, parse_control_total, sum_amounts

MONEY = st.builds(
    Money, st.integers(0, 10**9), st.decimals(-(10**15), 10**15, allow_nan=False, allow_infinity=False, places=3)
)


@given(
    amounts=st.none() | st.dictionaries(st.sampled_from(["USD", "INR", "KWD"]), MONEY),
    offsets=st.dictionaries(st.integers(0, 5), st.integers(0, 2**40)),
    broken=st.dictionaries(st.sampled_from(["AMOUNT_SCALE", "NULL_VALUE"]), st.integers(0, 9)),
    rest=st.integers(0, 10),
    closed=st.booleans(),
)
def test_a_total_is_read_back_as_it_was_written(
    amounts: dict[str, Money] | None, offsets: dict[int, int], broken: dict[str, int], rest: int, closed: bool
) -> None:
    seq = rest + sum(money.count for money in (amounts or {}).values())
    at = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
    total = ControlTotal("feed-1", seq, closed, amounts, offsets, broken, "topic", "1.0.0", at)
    assert parse_control_total(total.value()) == total
    assert total.without_amount == (rest if amounts is not None else seq)


def test_amounts_of_a_currency_add_up() -> None:
    parts = [{"USD": Money(1, Decimal("0.10"))}, {"USD": Money(2, Decimal("0.20")), "JPY": Money(1, Decimal(5))}]
    assert sum_amounts(parts) == {"USD": Money(3, Decimal("0.30")), "JPY": Money(1, Decimal(5))}


SOUND = json.loads(ControlTotal("r", 3, True, {"USD": Money(2, Decimal(1))}, {0: 2}).value())


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b"\xff",
        *(
            json.dumps(SOUND | change).encode()
            for change in (
                {"control_total": 2},
                {"run": ""},
                {"run": "x" * 201},
                {"run": "a\0"},
                {"run": 7},
                {"seq": -1},
                {"seq": 1.5},
                {"seq": 1},
                {"seq": 10**30},
                {"amounts": {"USD": {"count": 1, "amount": 1.5}}},
                {"amounts": {"USD": {"count": 1, "amount": "NaN"}}},
                {"amounts": []},
                {"last_offsets": {"x": 1}},
                {"sent_at": "2026-11-21T10:00:00"},
                {"sent_at": "9999-12-31T23:59:59-23:59"},
                {"contract": "1\0"},
                {"contract": "\ud800"},
                {"broken": {"\0": 1}},
                {"amounts": {"\ud800": {"count": 1, "amount": "1"}}},
                {"amounts": {"USD": {"count": 1, "amount": "1e999999"}}},
                {"last_offsets": {"9999999999": 1}},
            )
        ),
    ],
)
def test_what_is_no_control_total_is_refused(wrong: bytes | None) -> None:
    with pytest.raises(ControlTotalError):
        parse_control_total(wrong)
