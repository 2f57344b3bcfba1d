"""Numbers a feed's events and keeps its books: totals cover what the broker has, up to the first hole."""

from copy import deepcopy

from contracts.control_total import ControlTotal, FileTotal
from contracts.model import Entity
from data_generator.delivery import Message
from data_generator.events import Event
from data_generator.totals import FeedTotals


class FeedBook:
    """Events by number, from built to acknowledged.

    Args:
        run: the feed's id.
        entity: what its events are.
        file: what the file holds that the feed is made of; None where it is made of none.

    Attributes:
        built: how many events were numbered.
        totals: of the acknowledged events without a hole before them.
    """

    def __init__(self, run: str, entity: Entity, file: FileTotal | None = None) -> None:
        self._file = file
        self.run = run
        self.entity = entity
        self._fixed = (("run", run.encode()), ("contract", entity.version.encode()))
        self._open: dict[int, Event] = {}
        self._ahead: set[int] = set()
        self.built = 0
        self.totals = FeedTotals()

    def enter(self, event: Event) -> tuple[int, Message]:
        """Give an event its number and its headers."""
        self.built += 1
        number = self.built
        self._open[number] = event
        run, contract = self._fixed
        seq, status_at = ("seq", b"%d" % number), ("status_at", event.status_at.encode())
        headers: list[tuple[str, str | bytes | None]] = [run, seq, status_at, contract]
        if event.row is not None:
            headers.append(("row", b"%d" % event.row))
        return number, Message(event.key, event.value, headers)

    def withdraw(self) -> None:
        """Take the last entered event back: nobody took it, so that its number is free again."""
        del self._open[self.built]
        self.built -= 1

    def acknowledge(self, number: int, partition: int, offset: int) -> None:
        """Note that the broker has an event; acknowledgements come in any order."""
        self.totals.acknowledged(partition, offset)
        self._ahead.add(number)
        following = self.totals.seq + 1
        while following in self._ahead:
            self._ahead.remove(following)
            self.totals.add(following, self._open.pop(following))
            following += 1

    def control_total(self, topic_id: str | None, *, closed: bool) -> ControlTotal:
        """Return the control total of what is acknowledged without a hole."""
        return self._as_total(self.totals, topic_id, closed=closed)

    def total_of_all(self, topic_id: str | None) -> ControlTotal:
        """Return the closing total as it will be once everything that was built is acknowledged."""
        totals = deepcopy(self.totals)
        for number in sorted(self._open):
            totals.add(number, self._open[number])
        return self._as_total(totals, topic_id, closed=True)

    def _as_total(self, totals: FeedTotals, topic_id: str | None, *, closed: bool) -> ControlTotal:
        return ControlTotal(
            run=self.run,
            seq=totals.seq,
            closed=closed,
            amounts=totals.money(self.entity.currencies),
            last_offsets=dict(totals.last_offsets),
            broken=dict(totals.broken),
            topic_id=topic_id,
            contract=self.entity.version,
            entity=self.entity.name,
            file=self._file,
        )
