# ruff: noqa: E501  (a case a line)
"""What a control total says of its feed's file: read back to the cent, and refused where it does not add up."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control_total import ControlTotal, ControlTotalError, FileTotal, Money, Rows, parse_control_total

AMOUNTS = st.dictionaries(
    st.sampled_from(["USD", "JPY"]),
    st.builds(Money, st.integers(0, 1_000), st.decimals(-(10**12), 10**12, allow_nan=False, places=2)),
)


def rows(amounts: dict[str, Money], others: int) -> Rows:
    return Rows(others + sum(money.count for money in amounts.values()), amounts)


@given(
    AMOUNTS,
    AMOUNTS,
    st.integers(0, 9),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1),
)
def test_what_a_file_holds_is_read_back_to_the_cent(
    sent: dict[str, Money], refused: dict[str, Money], others: int, name: str
) -> None:
    bad = rows(refused, others)
    file = FileTotal(name, "ab" * 32, Rows(rows(sent, 0).count + bad.count, sent), bad)
    total = ControlTotal("gateway-file-1", rows(sent, 0).count, True, sent, {0: 5}, file=file)
    assert parse_control_total(total.value()).file == file


SOUND = ControlTotal(
    "gateway-file-1", 2, True, {"USD": Money(2, Decimal(3))}, {0: 1},
    file=FileTotal("a.csv", "ab" * 32, Rows(3, {"USD": Money(3, Decimal(4))}), Rows(1, {"USD": Money(1, Decimal(1))})),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), ""), (("name",), "x" * 1_025), (("name",), "a\0"), (("sha256",), None), (("rows",), {}),
        (("rows", "count"), -1), (("rows", "count"), 2), (("refused", "count"), 4), (("left_out",), None),
        (("rows", "amounts"), {"USD": {"count": 4, "amount": "4"}}), (("rows", "amounts"), {"XXX": {"count": 1, "amount": "1"}}),
        (("refused", "amounts"), {"USD": {"count": 1, "amount": "0.00001"}}),
    ],
)  # fmt: skip
def test_a_file_that_does_not_add_up_is_no_control_total(path: tuple[str, ...], value: Any) -> None:
    held = json.loads(SOUND.value())
    assert parse_control_total(json.dumps(held).encode()).file == SOUND.file
    at = held["file"]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(ControlTotalError):
        parse_control_total(json.dumps(held).encode())
