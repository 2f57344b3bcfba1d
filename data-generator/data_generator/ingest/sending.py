"""Sends a file as a feed, by the gateway's own delivery: a run that was killed is continued, nothing comes twice."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from contracts.control_total import ControlTotal, FileTotal
from core import failpoints
from core.errors import TieoutError
from data_generator.book import FeedBook
from data_generator.control_totals import ControlTotalSender
from data_generator.delivery import Delivery, Message
from data_generator.errors import BrokenFeedError
from data_generator.events import Event
from data_generator.gateway import Lane, Pace, close, send_feed
from data_generator.ingest.check_pass import Checked, Pass
from data_generator.ingest.errors import ChangedFileError
from data_generator.ingest.mapper import Mapped, Refused
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.readback import read_sent
from data_generator.ingest.registry import KnownFile, Registry
from data_generator.ingest.source import Source
from data_generator.produce import Context, open_delivery
from data_generator.progress import say, showing

KEEP_AT_ONCE: Final = 500
ADVANCE_SECONDS: Final = 5.0
_STRIKE_EVERY: Final = 1_000


class StoppedFileError(TieoutError):
    """A file was not sent to its end because of a signal; what was sent is delivered."""

    def __init__(self, name: str, sent: int, total: int) -> None:
        super().__init__(
            f"{name}: stopped by a signal after {sent} of {total} rows.",
            "these rows are acknowledged by the broker.",
            "ingest the file again, which goes on there",
        )


@dataclass
class Sent:
    """What became of a file.

    Attributes:
        acknowledged: rows that the broker has.
        continued: those of them that it had from an earlier run.
        closed: it has the closing control total too.
        error: what ended the run early.
    """

    acknowledged: int = 0
    continued: int = 0
    closed: bool = False
    error: TieoutError | None = None
    last_offsets: dict[int, int] = field(default_factory=dict)


class _FileTotals(ControlTotalSender):
    """Sends the control totals of a file: a closing one only when every row is sent."""

    is_complete = False

    def close(self) -> str | None:
        """Send the closing total, if the file was sent to its end; return what went wrong."""
        return super().close() if self.is_complete else None

    def closing(self) -> ControlTotal | None:  # type: ignore[override]
        """Return the closing total; None where the file was not sent to its end."""
        return super().closing() if self.is_complete else None


class _Continued:
    """A delivery that passes over what the broker has from an earlier run."""

    def __init__(
        self, delivery: Delivery, known: KnownFile, there: dict[int, tuple[int, int]],
        acknowledge: Callable[[int, int, int], None],
    ) -> None:  # fmt: skip
        self._delivery = delivery
        self._upto = known.known_seq
        self._there = there
        self._acknowledge = acknowledge
        self.continued = 0

    @property
    def waiting(self) -> int:
        return self._delivery.waiting

    def send(self, number: int, message: Message) -> bool:
        if number % _STRIKE_EVERY == 0:
            failpoints.reach("ingest.while-sending")
        if number <= self._upto or number in self._there:
            partition, offset = self._there.pop(number, (0, -1))
            self._acknowledge(number, partition, offset)
            self.continued += 1
            if self.continued % _STRIKE_EVERY == 0:
                self._delivery.poll(0)
            return True
        return self._delivery.send(number, message)

    def poll(self, seconds: float) -> None:
        self._delivery.poll(seconds)

    def finish(self) -> None:
        self._delivery.finish()

    def give_up(self) -> list[Message]:
        return self._delivery.give_up()


class _Progress:
    """Writes down now and then how far a file is sent.

    A number is written together with offsets that were known when it was the last one built: every later event lies
    behind them. It is written once all events up to it are acknowledged.
    """

    def __init__(self, registry: Registry, run: str, book: FeedBook, delivery: Delivery) -> None:
        self._registry, self._run, self._book, self._delivery = registry, run, book, delivery
        self._due = time.monotonic() + ADVANCE_SECONDS
        self._noted: tuple[int, dict[int, int]] = (0, {})

    def tick(self) -> None:
        """Write down what is due."""
        if time.monotonic() < self._due:
            return
        seq, offsets = self._noted
        if 0 < seq <= self._book.totals.seq:
            self._registry.advance(self._run, seq, offsets, self._delivery.topic_id)
            self._noted = (0, {})
        if not self._noted[0]:
            reached = {partition: offset + 1 for partition, offset in self._book.totals.last_offsets.items()}
            self._noted = (self._book.built, reached)
        self._due = time.monotonic() + ADVANCE_SECONDS


def send_file(
    source: Source,
    mapping: FileMapping,
    checked: Checked,
    known: KnownFile,
    total: FileTotal,
    *,
    context: Context,
    registry: Registry,
    there: dict[int, tuple[int, int]],
) -> Sent:
    """Send all rows of a file that its topic does not have yet, and its closing control total.

    Args:
        source: the file.
        mapping: what becomes of its columns.
        checked: what the first look has found: a file that has become another one since is not closed.
        known: the file in the registry.
        total: what its control totals say of it.
        context: the gateway's: broker, password, where undelivered events are saved.
        registry: where refused rows and the progress are kept.
        there: what its topic has of it behind what the registry knows, from `sent_before`.
    """
    entity = mapping.entity
    book = FeedBook(known.run, entity, total)
    delivery = open_delivery(context, entity, book.acknowledge)
    channel = _Continued(delivery, known, there, book.acknowledge)
    totals_sender = _FileTotals(book, delivery)
    progress = _Progress(registry, known.run, book, delivery)

    def on_poll() -> None:
        totals_sender.tick()
        progress.tick()

    delivery.on_poll = on_poll
    for partition, offset in known.known_offsets.items():
        if known.known_seq:
            book.totals.acknowledged(partition, offset - 1)
    found = Sent()
    undelivered = context.undelivered / f"{known.run}.jsonl"
    reading = Pass(source, mapping, context.card_hash_key, is_judged=checked.is_judged(entity))
    events = _events(reading, checked, source, partial(_keep, registry, known.run))
    lane = Lane(book, channel)
    with showing(checked.sums.sent.rows) as show:
        try:
            if delivery.connect():
                pace = Pace(0, channel.poll, context.stop)
                totals_sender.is_complete = send_feed(
                    events, {entity.name: lane}, pace, stop=context.stop, show=show, note=_nothing
                )
        except TieoutError as error:
            found.error = error
        except Exception as error:  # whatever it is, what was sent has to be delivered
            found.error = BrokenFeedError(book.built, error)
    failpoints.reach("ingest.before-closing")
    try:
        close(channel, undelivered, found.error, rebuild="ingesting the file again", totals_sender=totals_sender)
    except TieoutError as error:
        found.error = error
    found.acknowledged, found.continued = book.totals.events, channel.continued
    found.closed, found.last_offsets = totals_sender.closed, dict(book.totals.last_offsets)
    if found.error is None and not totals_sender.is_complete:
        found.error = StoppedFileError(source.name, found.acknowledged, checked.sums.sent.rows)
    if found.closed:
        registry.finish(known.run)
        undelivered.unlink(missing_ok=True)  # of an earlier run: all of it is sent
    return found


def sent_before(known: KnownFile, context: Context, auditor: str, topic: str) -> dict[int, tuple[int, int]]:
    """Return what the topic has of a file that an earlier run has begun: partition and offset by number.

    Args:
        auditor: the password of the user who may read the topic.
    """
    there = read_sent(context.broker, auditor, topic, known.run, known.known_offsets)
    if there or known.known_seq:
        count = known.known_seq + sum(number > known.known_seq for number in there)
        say(f"an earlier run has sent {count} rows of this file: they are not sent again")
    return there


def _events(reading: Pass, checked: Checked, source: Source, keep: Callable[[list[Refused]], None]) -> Iterator[Event]:
    """Yield the events of a file, keeping its refused rows.

    Raises:
        ChangedFileError: the file is not what it was at the first look.
    """
    refused: list[Refused] = []
    for outcome in reading.outcomes():
        if isinstance(outcome, Mapped):
            yield outcome.event
        elif isinstance(outcome, Refused):
            refused.append(outcome)
            if len(refused) >= KEEP_AT_ONCE:
                keep(refused)
                refused = []
    keep(refused)
    if not checked.is_same(Checked(source.sha256(), source.size(), reading.sums, reading.blank)):
        raise ChangedFileError(source.name)


def _keep(registry: Registry, run: str, rows: list[Refused]) -> None:
    if rows:
        registry.keep_refused(run, rows)


def _nothing(_event: Any) -> None:
    pass
