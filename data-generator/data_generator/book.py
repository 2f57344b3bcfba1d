"""Numbers a feed's events and keeps its books: totals cover what the broker has, up to the first hole."""

from data_generator.delivery import Message
from data_generator.events import Event
from data_generator.totals import FeedTotals


class FeedBook:
    """Events by number, from built to acknowledged.

    Args:
        run: the feed's id.
        contract_version: the contract that the events are made under.

    Attributes:
        built: how many events were numbered.
        totals: of the acknowledged events without a hole before them.
    """

    def __init__(self, run: str, contract_version: str) -> None:
        self.run = run
        self._fixed = (("run", run.encode()), ("contract", contract_version.encode()))
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
