"""The events of the measurements: the gateway's own, the same bytes in every run."""

from collections import deque
from collections.abc import Iterator

from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS
from core.layout import find_layout
from data_generator.book import FeedBook
from data_generator.card_file import CardFile
from data_generator.cli import SAMPLE
from data_generator.delivery import Message
from data_generator.events import Event
from data_generator.feed import Feed
from data_generator.options import Asked, make_plan
from data_generator.produce import make_feed

SEED = 20260101
START = "2026-01-01T00:00:00Z"
REPEATS_WAIT = 500


def words(payments: int, faults: str = "0") -> list[str]:
    """Return the arguments that make `tieout produce` send the same events."""
    made = ["--total", str(payments), "--rate", "0", "--seed", str(SEED), "--start", START]
    return [*made, "--faults", faults, "--json"]


def open_feed(payments: int, card_hash_key: str) -> Feed:
    """Return the feed of so many payments; settlements come on top."""
    file = CardFile(find_layout().samples / SAMPLE, 0, lambda _: None)
    plan = make_plan(Asked("0", str(payments), "0.7", str(SEED), START, "live", "0", "3d", "0", dry_run=False), file, 5)
    return make_feed(plan, file, {entity.name: entity for entity in load_entities()}, card_hash_key)


def messages(feed: Feed, repeat_every: int = 0) -> Iterator[Message]:
    """Yield each event as it is sent.

    Args:
        repeat_every: send every so-manieth event a second time, a while after the first; 0: none.
    """
    book = FeedBook("bench", load_entity(PAYMENTS))
    late: deque[Event] = deque()
    for number, event in enumerate(feed):
        yield book.enter(event)[1]
        if repeat_every and number % repeat_every == 0:
            late.append(event)
        if len(late) > REPEATS_WAIT:
            yield book.enter(late.popleft())[1]
    for event in late:
        yield book.enter(event)[1]
