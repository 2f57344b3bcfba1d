"""Refunds: a share of successful payments, never more than was paid, and payments stay as they are without them."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from contracts.entities import load_entity
from contracts.faults import fault_kinds
from contracts.verdict import judge
from data_generator.breaker import FOLLOW_UPS
from data_generator.events import PAYMENT, SETTLEMENT, Event
from data_generator.feed import Feed
from data_generator.plan import LIVE, ORIGINAL, Plan
from data_generator.refunds import REFUNDS

Made = Callable[..., list[Event]]
REFUND = load_entity(REFUNDS)


def of(events: list[Event], entity: str) -> list[Event]:
    return [event for event in events if event.entity == entity]


def fields(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.value or b"", parse_float=Decimal)
    return found


def test_payments_are_the_same_bytes_with_and_without_refunds(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    alone = list(feed(plan(faults=Fraction(1, 20))))
    beside = list(feed(plan(faults=Fraction(1, 20), refunds=Fraction(1, 10))))
    assert of(beside, "transactions") == alone
    assert len(of(beside, REFUNDS)) > 100


def test_refunds_come_after_their_payment_succeeded_and_never_exceed_it(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    made = feed(plan(total=20_000, refunds=Fraction(1, 50)))
    events = list(made)
    good = [e for e in of(events, "transactions") if fields(e)["status"] == "SUCCESS"]
    paid = {fields(e)["transaction_id"]: fields(e) for e in good}
    succeeded = {fields(e)["transaction_id"]: e.status_at for e in good}
    given_back: dict[str, Decimal] = defaultdict(Decimal)
    firsts = [event for event in of(events, REFUNDS) if event.part == PAYMENT]
    for event in firsts:
        refund = fields(event)
        payment = paid[refund["transaction_id"]]
        assert judge(event.value, REFUND).reasons == frozenset()
        assert (refund["customer_id"], refund["currency"]) == (payment["customer_id"], payment["currency"])
        assert datetime.fromisoformat(refund["timestamp"]) > datetime.fromisoformat(succeeded[refund["transaction_id"]])
        given_back[refund["transaction_id"]] += refund["amount"]
    assert all(0 < amount <= paid[name]["amount"] for name, amount in given_back.items())
    assert 0.012 < len(given_back) / len(paid) < 0.028
    parts = Counter(fields(event)["transaction_id"] for event in firsts)
    assert max(parts.values()) == 2
    assert any(amount < paid[name]["amount"] for name, amount in given_back.items())
    ids = [fields(event)["refund_id"] for event in firsts]
    assert len(set(ids)) == len(ids)


def test_a_refund_settles_with_nothing_changed_but_its_status(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    made = feed(plan(refunds=Fraction(1, 2)))
    events = of(list(made), REFUNDS)
    begun = {fields(e)["refund_id"]: fields(e) for e in events if e.part == PAYMENT}
    settled = [fields(e) for e in events if e.part == SETTLEMENT]
    assert len(settled) > 20
    for refund in settled:
        before = begun[refund["refund_id"]]
        assert before["status"] == "PENDING"
        assert {name for name in refund if refund[name] != before[name]} == {"status"}
    waiting = {name for name, refund in begun.items() if refund["status"] == "PENDING"}
    assert len(waiting) - len(settled) == made.pending[REFUNDS] >= 0


def test_the_same_plan_gives_the_same_refunds_on_every_timeline(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    for changes in ({}, {"timeline": ORIGINAL, "total": 500}, {"timeline": LIVE, "total": 500, "rate": Fraction(1)}):
        one, other = (list(feed(plan(refunds=Fraction(1, 5), **changes))) for _ in range(2))
        assert one == other
        assert of(one, REFUNDS)


def test_refunds_are_broken_by_every_kind_of_their_own_contract(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    events = of(list(feed(plan(total=3_000, refunds=Fraction(1), faults=Fraction(1, 4)))), REFUNDS)
    assert {event.fault for event in events if event.fault} == {*fault_kinds(REFUND), *FOLLOW_UPS}
