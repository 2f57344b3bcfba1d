import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from data_generator.card_file import CardFile
from data_generator.events import PAYMENT, SETTLEMENT, Event
from data_generator.feed import Feed
from data_generator.outcomes import FAILURE_REASONS
from data_generator.plan import Plan, payments_for_rows

Plans = Callable[..., Plan]
Feeds = Callable[..., Feed]


def parsed(event: Event) -> dict[str, Any]:
    assert event.value is not None
    fields: dict[str, Any] = json.loads(event.value, parse_float=Decimal)
    return fields


def of_part(events: list[Event], part: str) -> list[dict[str, Any]]:
    found = [parsed(event) for event in events if event.part == part]
    assert found
    return found


@pytest.mark.parametrize("timeline", ["live", "last", "original"])
def test_the_same_seed_start_and_key_give_the_same_events(plan: Plans, feed: Feeds, timeline: str) -> None:
    wanted = plan(timeline=timeline, faults=Fraction(1, 20))
    first, second = list(feed(wanted)), list(feed(wanted))
    assert len(first) > 2_000
    assert first == second


@pytest.mark.parametrize("change", [{"seed": 8}, {"start": 1_793_000_000_001}])
def test_another_seed_or_start_makes_other_payments(plan: Plans, feed: Feeds, change: dict[str, int]) -> None:
    ids = {fields["transaction_id"] for fields in of_part(list(feed(plan())), PAYMENT)}
    others = {fields["transaction_id"] for fields in of_part(list(feed(plan(**change))), PAYMENT)}
    assert len(ids) == len(others) == 2_000
    assert not ids & others


def test_an_original_replay_does_not_depend_on_seed_or_start(plan: Plans, feed: Feeds) -> None:
    one = list(feed(plan(timeline="original", mix=Fraction(1), seed=1, start=1)))
    other = list(feed(plan(timeline="original", mix=Fraction(1), seed=2, start=2)))
    assert len(one) > 2_000
    assert one == other


def test_an_original_replay_holds_the_file_s_ids_times_and_exact_amounts(
    plan: Plans, feed: Feeds, sample: CardFile
) -> None:
    events = list(feed(plan(timeline="original", mix=Fraction(1), total=sample.good)))
    payments = of_part(events, PAYMENT)
    rows = list(sample.rows())
    assert [fields["transaction_id"] for fields in payments] == [row.trans_num for row in rows]
    assert sum(fields["amount"] for fields in payments) == Decimal(sum(row.cents for row in rows)).scaleb(-2)
    assert {fields["timestamp"][-6:] for fields in payments} == {"+00:00"}
    pending = {fields["transaction_id"] for fields in payments if fields["status"] == "PENDING"}
    assert {fields["transaction_id"] for fields in of_part(events, SETTLEMENT)} == pending


def test_events_have_the_contract_s_fields_in_its_order_and_nothing_else_of_the_card(
    plan: Plans, feed: Feeds, sample: CardFile
) -> None:
    entity = load_entity(PAYMENTS)
    names = [field.name for field in entity.fields if field not in entity.optional_fields]
    made = feed(plan())
    events = list(made)
    assert made.replayed == 1_400
    numbers = {row.card_number for row in sample.rows()}
    for event in events:
        fields = parsed(event)
        assert list(fields) == names
        assert event.key == fields["customer_id"].encode()
        assert not numbers & {str(value) for value in fields.values()}


def test_the_mix_is_met_exactly_and_us_and_indian_payments_stay_what_they_are(plan: Plans, feed: Feeds) -> None:
    events = of_part(list(feed(plan())), PAYMENT)
    zones = Counter((f["country"], f["currency"], f["timestamp"][-6:]) for f in events)
    assert zones == {("US", "USD", "+00:00"): 1_400, ("IN", "INR", "+05:30"): 600}
    us_methods = {f["payment_method"] for f in events if f["country"] == "US"}
    assert us_methods == {"Credit Card", "Debit Card"}
    assert {f["payment_method"] for f in events if f["country"] == "IN"} == set(FAILURE_REASONS)
    assert not any(f["merchant_name"].startswith("fraud_") for f in events)


def test_about_eight_percent_start_pending_and_five_percent_fail_for_a_reason_of_their_method(
    plan: Plans, feed: Feeds
) -> None:
    events = list(feed(plan(total=20_000)))
    payments = of_part(events, PAYMENT)
    last = {f["transaction_id"]: f for f in payments + of_part(events, SETTLEMENT)}
    assert 0.07 < sum(f["status"] == "PENDING" for f in payments) / 20_000 < 0.09
    failed = [f for f in last.values() if f["status"] == "FAILED"]
    assert 0.04 < len(failed) / 20_000 < 0.06
    assert all(f["failure_reason"] in FAILURE_REASONS[f["payment_method"]] for f in failed)
    assert all(f["failure_reason"] is None for f in last.values() if f["status"] != "FAILED")


def test_a_settlement_differs_in_nothing_but_status_and_comes_within_the_time_allowed(plan: Plans, feed: Feeds) -> None:
    wanted = plan(total=5_000)
    made = feed(wanted)
    events = list(made)
    begun: dict[str, dict[str, Any]] = {}
    settled = 0
    for event in events:
        fields = parsed(event)
        first = begun.setdefault(fields["transaction_id"], fields)
        if event.part == SETTLEMENT:
            settled += 1
            same = {"status": None, "failure_reason": None}
            assert first["status"] == "PENDING"
            assert fields["status"] in ("SUCCESS", "FAILED")
            assert first | same == fields | same
            after = datetime.fromisoformat(event.status_at) - datetime.fromisoformat(fields["timestamp"])
            assert timedelta(0) < after <= timedelta(days=3)
    assert settled > 200
    pending = sum(first["status"] == "PENDING" for first in begun.values())
    assert pending == settled + made.pending["transactions"]


def test_events_come_in_the_order_of_their_status_and_end_by_the_start_of_last(plan: Plans, feed: Feeds) -> None:
    wanted = plan()
    times = [datetime.fromisoformat(event.status_at).timestamp() * 1000 for event in feed(wanted)]
    assert times == sorted(times)
    assert wanted.start - wanted.span <= times[0]
    assert times[-1] <= wanted.start
    assert times[-1] - times[0] > 0.99 * wanted.span


def test_live_settlements_are_seen_within_minutes(plan: Plans, feed: Feeds) -> None:
    wanted = plan(timeline="live", rate=Fraction(5), total=5_000)
    settled = [event for event in feed(wanted) if event.part == SETTLEMENT]
    assert len(settled) > 200
    for event in settled:
        after = datetime.fromisoformat(event.status_at) - datetime.fromisoformat(parsed(event)["timestamp"])
        assert after <= timedelta(minutes=3)


def test_a_file_is_looped_over_with_new_ids_each_time(
    plan: Plans, feed: Feeds, tmp_path: Path, sound: dict[str, str], as_csv: Callable[..., str]
) -> None:
    path = tmp_path / "small.csv"
    path.write_text(as_csv([sound, sound | {"trans_num": "b"}]))
    file = CardFile(path, 0, print)
    file.check()
    payments = of_part(list(feed(plan(mix=Fraction(1), total=50), file)), PAYMENT)
    assert len({f["transaction_id"] for f in payments}) == 50
    original = list(feed(plan(mix=Fraction(1), total=50, timeline="original"), file))
    assert [f["transaction_id"] for f in of_part(original, PAYMENT)] == [sound["trans_num"], "b"]


def test_no_payments_asked_for_are_no_events(plan: Plans, feed: Feeds) -> None:
    assert list(feed(plan(total=0))) == []


def test_the_card_hash_key_decides_who_a_card_is(plan: Plans, feed: Feeds) -> None:
    wanted = plan(mix=Fraction(1))
    one, same, other = (Counter(e.key for e in feed(wanted, key=key)) for key in ("a", "a", "b"))
    assert one == same
    assert len(one) > 100
    assert not one.keys() & other.keys()


@pytest.mark.parametrize(("rows", "mix", "payments"), [(7, "7/10", 10), (8, "7/10", 12), (5, "1", 5), (0, "1/2", 0)])
def test_all_is_the_smallest_number_of_payments_that_holds_every_row(rows: int, mix: str, payments: int) -> None:
    assert payments_for_rows(rows, Fraction(mix)) == payments
