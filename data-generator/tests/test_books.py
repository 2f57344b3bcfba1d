import json
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from data_generator.book import FeedBook
from data_generator.feed import Feed
from data_generator.plan import Plan

DIGITS = dict(load_entity(PAYMENTS).currencies)


def test_totals_are_those_of_the_events_that_are_well_formed(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    book = FeedBook("run", load_entity(PAYMENTS))
    amounts: dict[str, Decimal] = Counter()  # type: ignore[assignment]
    counts: Counter[str] = Counter()
    malformed = {rule.code for rule in load_entity(PAYMENTS).rules if rule.kind == "malformed"}
    for event in feed(plan(faults=Fraction(1, 3))):
        number, _ = book.enter(event)
        book.acknowledge(number, number % 6, number)
        if event.fault not in malformed:
            fields = json.loads(event.value or b"", parse_float=Decimal)
            if fields["currency"] in DIGITS:
                counts[fields["currency"]] += 1
                amounts[fields["currency"]] += fields["amount"]
    totals = book.totals
    assert totals.events == totals.seq == book.built > 2_000
    assert set(counts) == {"USD", "INR"}
    assert totals.amounts(DIGITS) == {c: {"count": counts[c], "amount": str(amounts[c])} for c in sorted(counts)}
    assert sum(totals.broken.values()) > 500


def test_totals_stop_at_the_first_event_that_the_broker_does_not_have(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    book = FeedBook("run", load_entity(PAYMENTS))
    numbers = [book.enter(event)[0] for event in feed(plan(total=100))]
    random.Random(3).shuffle(numbers)
    for number in numbers:
        if number != 40:
            book.acknowledge(number, 0, number)
    assert book.totals.seq == book.totals.events == 39
    book.acknowledge(40, 0, 40)
    assert book.totals.seq == book.totals.events == len(numbers)


def test_headers_name_feed_number_status_time_and_contract(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    book = FeedBook("some-run", load_entity(PAYMENTS))
    for wanted, event in enumerate(feed(plan(total=50)), 1):
        number, message = book.enter(event)
        assert number == wanted
        assert message.headers == [
            ("run", b"some-run"),
            ("seq", str(wanted).encode()),
            ("status_at", event.status_at.encode()),
            ("contract", b"1.1.0"),
        ]


def test_an_event_that_nobody_took_leaves_no_hole(plan: Callable[..., Plan], feed: Callable[..., Feed]) -> None:
    book = FeedBook("run", load_entity(PAYMENTS))
    first, second, *_ = feed(plan(total=5))
    book.enter(first)
    book.withdraw()
    assert book.enter(second)[0] == 1
