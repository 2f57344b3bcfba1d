"""Of events with one id the sender's first stands, and what was rejected names the other and the fields that differ."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from lake_writer import FIRST_ARRIVAL, LakeWriter, payment

pytestmark = pytest.mark.services
Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
PENDING, SUCCESS, FAILED = (payment(status=status) for status in ("PENDING", "SUCCESS", "FAILED"))


def told(amount: int, run: str | None, seq: int | None, second: int, partition: int) -> dict[str, Any]:
    """Return a payment of that amount, as an event of a feed that arrived at a second."""
    arrived_at = FIRST_ARRIVAL + timedelta(seconds=second)
    return payment(amount=Decimal(amount), run=run, seq=seq, arrived_at=arrived_at, partition=partition)


@pytest.mark.parametrize("try_fresh", [True, False])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("events", "stands"),
    [
        ([told(1, "a", 2, 0, 0), told(2, "a", 1, 9, 1)], 2),
        ([told(1, "a", 1, 9, 0), told(2, "a", 2, 0, 1)], 1),
        ([told(1, "a", 7, 5, 0), told(2, "a", 7, 4, 1)], 2),  # a number twice: arrival
        ([told(1, "a", 7, 4, 0), told(2, "a", 7, 4, 1)], 1),  # and at one moment: partition
        ([told(1, "b", 9, 3, 0), told(2, "a", 1, 4, 1)], 1),  # seqs of two feeds are not compared
        ([told(1, "b", 9, 3, 0), told(2, "b", 8, 9, 1), told(3, "a", 1, 4, 1)], 2),  # feed b was first with this id
        ([told(1, None, 1, 5, 0), told(2, None, 2, 4, 1)], 2),  # no feed: arrival
        ([told(1, "a", None, 5, 0), told(2, "a", 1, 4, 1)], 2),
        ([told(1, "a", 0, 5, 0), told(2, "a", 1, 4, 1)], 2),
    ],
)
def test_within_a_load_the_order_is_the_senders(
    load: Load, lake: LakeWriter, query: Query, events: list[Any], stands: int, together: bool, try_fresh: bool
) -> None:
    for batch in [events] if together else [[event] for event in events]:
        lake.commit(batch)
    (result,) = load(try_fresh=try_fresh)
    assert (result["rows_loaded"], result["rejected"]) == (1, len(events) - 1)
    assert query("select amount from raw.transactions") == [(Decimal(stands),)]
    assert query("select distinct reasons from raw.rejected_transactions") == [(["CONFLICTING_DUPLICATE"],)]


def test_across_loads_the_first_loaded_stands_and_the_conflict_names_both(
    load: Load, lake: LakeWriter, query: Query
) -> None:
    lake.commit([payment("other"), told(12, "a", 2, 0, 0)])
    (first,) = load()
    lake.commit([told(10, "a", 1, 1, 1)])
    (second,) = load()
    ((load_id, run, seq, partition, offset, conflict),) = query(
        'select load_id, run, seq, partition, "offset", conflict from raw.rejected_transactions'
    )
    assert (load_id, run, seq, partition, offset) == (second["load_id"], "a", 1, 1, 0)
    assert conflict["standing"] == {
        **{"book": "transactions", "load_id": first["load_id"], "run": "a", "seq": 2},
        **{"topic_id": "sMHcCAVMSGyb_J6xbxrUwA", "partition": 0, "offset": 1},
    }
    assert conflict["differs"] == [{"field": "amount", "standing": "12", "rejected": "10"}]


def differs(query: Query) -> list[list[tuple[str, str | None, str | None]]]:
    rows = query("select conflict -> 'differs' from raw.rejected_transactions order by \"offset\"")
    return [[(each["field"], each["standing"], each["rejected"]) for each in differing] for (differing,) in rows]


@pytest.mark.parametrize("together", [True, False])
def test_a_settlement_written_otherwise_names_the_field_with_both_values(
    load: Load, lake: LakeWriter, query: Query, together: bool
) -> None:
    at = payment()["occurred_at"]
    changed = [
        ({"occurred_at": at}, {"occurred_at": at.replace(microsecond=123000)}),
        ({"merchant_name": "Caf\u00e9"}, {"merchant_name": "Cafe\u0301"}),
        ({"device_type": None, "ip_address": None}, {"device_type": "", "ip_address": ""}),
        ({"city": "Pune"}, {"city": "Pune "}),
        ({"utc_offset_minutes": 0}, {"utc_offset_minutes": 0}),
        ({"utc_offset_minutes": 330}, {"utc_offset_minutes": -210}),
        ({}, {"customer_name": "Asha Nair", "customer_email": None, "customer_id": "c22", "is_fraud": True}),
    ]
    pending = [payment(f"t{n}", "PENDING", **before) for n, (before, _) in enumerate(changed)]
    settled = [payment(f"t{n}", "SUCCESS", **after) for n, (_, after) in enumerate(changed)]
    for batch in [pending + settled] if together else [pending, settled]:
        lake.commit(batch)
        load()
    assert query("select transaction_id from raw.transactions where status = 'SUCCESS' order by 1") == [
        ("t4",),
        ("t5",),  # the same instant in another zone
    ]
    assert query("select distinct reasons from raw.rejected_transactions") == [(["SETTLEMENT_MISMATCH"],)]
    assert differs(query) == [
        [("timestamp", "2026-11-19T14:00:00.123456+05:30", "2026-11-19T14:00:00.123000+05:30")],
        [("merchant_name", "Caf\u00e9", "Cafe\u0301")],
        [("device_type", None, ""), ("ip_address", None, "")],
        [("city", "Pune", "Pune ")],
        [
            ("customer_id", "(masked, 2 characters)", "(masked, 3 characters)"),
            ("customer_name", "(masked, 9 characters)", "(masked, 9 characters)"),
            ("customer_email", "(masked, 21 characters)", None),
            ("is_fraud", "false", "true"),
        ],
    ]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([FAILED, {**FAILED, "failure_reason": "OTHER"}], [("failure_reason", "INSUFFICIENT_FUNDS", "OTHER")]),
        ([PENDING, SUCCESS, FAILED],
         [("status", "SUCCESS", "FAILED"), ("failure_reason", None, "INSUFFICIENT_FUNDS")]),
        ([FAILED, {**PENDING, "amount": Decimal("9.50")}], [("amount", "107.23", "9.5")]),
        ([PENDING, SUCCESS, {**SUCCESS, "amount": Decimal(100)}], [("amount", "107.23", "100")]),
    ],
)  # fmt: skip
def test_every_conflict_names_what_differs(
    load: Load, lake: LakeWriter, query: Query, events: list[Any], expected: Any, together: bool
) -> None:
    for batch in [events] if together else [[event] for event in events]:
        lake.commit(batch)
        load()
    assert differs(query) == [expected]


def test_an_event_that_breaks_a_rule_of_its_own_has_no_conflict(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment("t1"), payment("t1", amount=Decimal(-1)), payment("t2", amount=Decimal(0))])
    load()
    assert query("select reasons, conflict from raw.rejected_transactions") == [(["AMOUNT_NOT_POSITIVE"], None)] * 2
