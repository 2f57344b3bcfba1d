"""However events are cut into batches, the totals are what a loop over the events says."""

from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from live_events import READER, event, message

from live.batch import Batch, take
from live.events import Event, Kind, Message
from live.payment_state import PaymentState

CHANNELS = {"Credit Card": "CARD"}
EVENTS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from(["PENDING", "SUCCESS", "FAILED"]),
        st.sampled_from([10, 10, 10, 20, -1, "x"]),
        st.sampled_from([None, None, None, b"0:7", b"0:8"]),
    ),
    max_size=14,
)


def deliver(drawn: list[Any]) -> list[Event]:
    return READER.read(
        [
            message(
                f"t{number}", status, offset=offset, amount=amount, headers=(("redrive-of", letter),) if letter else ()
            )
            for offset, (number, status, amount, letter) in enumerate(drawn)
        ]
    )


def loop(events: list[Event]) -> Counter[tuple[str, Decimal]]:
    """Return silver's latest statuses, one event at a time."""
    rows: dict[str, dict[str, Decimal]] = {}
    letters = set()
    for each in events:
        if each.kind is Kind.DEAD:
            continue
        if each.redrive_of in letters:
            continue
        letters |= {each.redrive_of} - {None}
        if each.kind is Kind.REJECTED:
            continue
        known, status = rows.setdefault(each.text("transaction_id"), {}), each.text("status")
        final = next((name for name in known if name != "PENDING"), None)
        if any(amount != each.amount for amount in known.values()) or status in known:
            continue
        if status == "PENDING" or final is None:
            known[status] = each.amount
    latest = Counter[tuple[str, Decimal]]()
    for known in rows.values():
        status = next((name for name in known if name != "PENDING"), "PENDING")
        if known:
            latest[status, known[status]] += 1
    return latest


def count(events: list[Event], cuts: set[int]) -> tuple[dict[tuple[str, str], tuple[int, Decimal]], list[Batch]]:
    """Return the totals after the events came in batches that end before the cuts."""
    totals: dict[tuple[str, str], tuple[int, Decimal]] = {}
    standings: dict[str, PaymentState] = {}
    letters: set[str] = set()
    batches = []
    edges = [0, *sorted(cuts), len(events)]
    for begin, end in pairwise(edges):
        batch = take(events[begin:end], standings, letters, CHANNELS)
        letters |= set(batch.redriven)
        for (currency, status, _, __), (number, amount) in batch.totals().items():
            held = totals.get((currency, status), (0, Decimal(0)))
            totals[currency, status] = (held[0] + number, held[1] + amount)
        batches.append(batch)
    return totals, batches


@settings(max_examples=300, deadline=None)
@given(drawn=EVENTS, cuts=st.sets(st.integers(0, 14), max_size=4))
def test_totals_are_what_a_loop_over_the_events_says(drawn: list[Any], cuts: set[int]) -> None:
    events = deliver(drawn)
    totals, batches = count(events, {cut for cut in cuts if cut <= len(events)})
    wanted: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for (status, amount), number in loop(events).items():
        held = wanted.get(("USD", status), (0, Decimal(0)))
        wanted["USD", status] = (held[0] + number, held[1] + number * amount)
    assert {key: money for key, money in totals.items() if money != (0, 0)} == wanted
    seconds = [second for batch in batches for second in batch.arrivals.values()]
    assert sum(each.events for each in seconds) == len(events)
    assert all(each.events == each.taken + each.repeated + each.rejected + each.dead_letters for each in seconds)


def test_a_settlement_moves_a_payment_from_one_status_to_the_other() -> None:
    pending, settled = event("t1", "PENDING", offset=0), event("t1", "SUCCESS", offset=1)
    together, _ = count([pending, settled], set())
    apart, batches = count([pending, settled], {1})
    assert together == apart == {("USD", "PENDING"): (0, Decimal("0.00")), ("USD", "SUCCESS"): (1, Decimal("107.25"))}
    assert [change.count for change in batches[1].changes] == [-1, 1]


def taken(*messages: Message) -> list[tuple[str, int]]:
    """Return what silver takes of the messages of one poll: partition and offset by arrival."""
    batch = take(READER.read(messages), {}, set(), CHANNELS)
    return [(each.text("transaction_id"), each.place.offset) for _, each in batch.taken]


def of_feed(feed: bytes, seq: int, offset: int, amount: int, name: str = "t1", **changed: Any) -> Message:
    headers = (("run", feed), ("seq", b"%d" % seq))
    return message(name, offset=offset, amount=amount, headers=headers, **changed)


def test_within_a_poll_the_lower_number_of_a_feed_is_taken_first_as_in_silver() -> None:
    assert taken(of_feed(b"f", 2, 0, 20), of_feed(b"f", 1, 1, 10)) == [("t1", 1)]
    assert taken(of_feed(b"f", 1, 0, 20), of_feed(b"f", 2, 1, 10)) == [("t1", 0)]
    assert taken(of_feed(b"f", 2, 0, 20), of_feed(b"g", 1, 1, 10)) == [("t1", 0)], "numbers of two feeds"
    assert taken(of_feed(b"", 2, 0, 20), of_feed(b"", 1, 1, 10)) == [("t1", 0)], "in no feed"
    assert taken(of_feed(b"f", 2, 0, 20), of_feed(b"f", 1, 1, 10, "t2")) == [("t1", 0), ("t2", 1)], "two payments"


def test_a_feed_has_its_turn_where_its_first_event_of_the_payment_came_also_a_rejected_one() -> None:
    first, last = of_feed(b"f", 9, 0, -1), of_feed(b"f", 1, 2, 10)
    assert taken(first, of_feed(b"g", 1, 1, 20), last) == [("t1", 2)]
    assert taken(of_feed(b"g", 1, 1, 20), last) == [("t1", 1)]


def test_alerts_see_events_in_the_order_of_arrival() -> None:
    earlier, later = of_feed(b"f", 2, 0, 10), of_feed(b"f", 1, 1, 10, status="PENDING")
    assert taken(earlier, later) == [("t1", 0), ("t1", 1)]


def test_a_payment_that_came_whole_within_a_batch_is_one_fresh_row_with_its_last_status() -> None:
    _, (batch,) = count([event("t1", "PENDING", offset=0), event("t1", "FAILED", offset=1)], set())
    assert batch.moved == {}
    assert batch.fresh["t1"].text("status") == batch.standings["t1"].status == "FAILED"
    assert batch.standings["t1"].first.offset == 0
