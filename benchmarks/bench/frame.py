"""The common frame: sides that do the same work, in rounds of rotating order, each held to the same books."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from core.errors import TieoutError

OURS, LIMIT, PEER = "ours", "limit", "peer"


class BenchError(TieoutError):
    """The benchmark cannot go on, or what it measured is worth nothing."""


class UnavailableError(Exception):
    """A side cannot be run on this machine; the text says why."""


@dataclass(frozen=True)
class Books:
    """What a side moved.

    Attributes:
        count: rows or events.
        amounts: the exact sum by currency; None where the side moves bytes that hold no amounts.
    """

    count: int
    amounts: Mapping[str, Decimal] | None = None

    def __str__(self) -> str:
        sums = ", ".join(f"{amount} {currency}" for currency, amount in sorted((self.amounts or {}).items()))
        return f"{self.count} of {sums or 'no amount'}"


@dataclass(frozen=True)
class Run:
    """One run of a side.

    Attributes:
        seconds: what the work took.
        books: what the side moved, counted behind it and outside of the seconds.
        more: further figures, such as memory; they go to the JSON.
    """

    seconds: float
    books: Books
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One way of doing a hop's work.

    Attributes:
        kind: ours, limit or peer.
        run: does the work once, from a clean start.
        is_right: False where it is known to give another result than ours, which is then said and not refused.
        note: one line for the report.
    """

    name: str
    kind: str
    run: Callable[[], Run]
    is_right: bool = True
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A side's rounds, summed up.

    Attributes:
        seconds: the median.
        spread: (slowest - fastest) / median.
        rate: rows or events a second at the median.
        details: each round's further figures, such as memory.
    """

    side: str
    kind: str
    seconds: float
    spread: float
    rate: float
    books: Books
    rounds: tuple[float, ...]
    details: tuple[Mapping[str, Any], ...]
    right: bool = True
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what the report keeps."""
        amounts = {currency: str(amount) for currency, amount in sorted((self.books.amounts or {}).items())}
        return {
            "side": self.side,
            "kind": self.kind,
            "seconds": round(self.seconds, 4),
            "spread": round(self.spread, 3),
            "rate": round(self.rate, 1),
            "count": self.books.count,
            "amounts": amounts,
            "gives_the_same_result": self.right,
            "rounds": [round(seconds, 4) for seconds in self.rounds],
            **({"note": self.note} if self.note else {}),
            **({"details": list(self.details)} if any(self.details) else {}),
        }


@dataclass(frozen=True)
class NotRun:
    """A side, or a part of a hop, that could not be run."""

    name: str
    reason: str


@dataclass(frozen=True)
class Goal:
    """One line of the table: a ratio, or a plain figure, and what it should be.

    Attributes:
        name: stable; the baseline knows the ratio by it.
        value: None where it could not be measured.
        wanted: the goal.
        at_least: True: a larger value is better; False: a smaller one.
        unit: what stands behind the value; "x" for a ratio.
        note: why it says what it says.
    """

    name: str
    value: float | None
    wanted: float
    at_least: bool = True
    unit: str = "x"
    note: str = ""

    @property
    def verdict(self) -> str:
        """Reached, missed, or not measured."""
        if self.value is None:
            return "not measured"
        return "reached" if (self.value >= self.wanted if self.at_least else self.value <= self.wanted) else "missed"

    def as_json(self) -> dict[str, Any]:
        """Return what the report keeps."""
        return {
            "name": self.name,
            "value": None if self.value is None else round(self.value, 4),
            "goal": f"{'>=' if self.at_least else '<='} {self.wanted:g} {self.unit}",
            "wanted": self.wanted,
            "at_least": self.at_least,
            "unit": self.unit,
            "verdict": self.verdict,
            **({"note": self.note} if self.note else {}),
        }


@dataclass
class Outcome:
    """What a hop gave."""

    figures: list[Figure] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wish:
    """How a hop is to be measured.

    Attributes:
        size: full, quick, or tiny (for tests: it shows that everything works, and no speed).
        say: told how far it has got.
        peers: the interpreter of the peers' environment.
    """

    size: str
    say: Callable[[str], None]
    peers: Callable[[], str]

    def of(self, full: int, quick: int, tiny: int) -> int:
        """Return the number for this size."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.size]

    @property
    def rounds(self) -> int:
        """Rounds behind the warm-up."""
        return self.of(5, 2, 1)


def far(size: str) -> int:
    """Return how many times as long as ours a side takes that is not run again: more rounds would say nothing new."""
    return 5 if size == "quick" else 10


@dataclass(frozen=True)
class Hop:
    """A hop's measurement.

    Attributes:
        measure: makes what it needs, measures, and takes everything away again.
        moves_rows: its sides move rows, so that rows a second say something; otherwise only seconds do.
    """

    name: str
    title: str
    measure: Callable[[Wish], Outcome]
    moves_rows: bool = True


def take_turns(
    sides: Sequence[Side], wish: Wish, *, warm_up: bool = True, before: Callable[[], None] | None = None
) -> tuple[list[Figure], list[NotRun]]:
    """Run every side in rounds and return their figures, and the sides that could not be run with the reason.

    The first round warms up and does not count; each further one begins with another side. Every run's books are held
    against those of ours in the same round. A side that is far behind has no further round.

    Args:
        before: prepares a round, such as by adding what all sides are then to take.

    Raises:
        BenchError: a side moved something else than ours did, so that its time says nothing.
    """
    rounds: dict[str, list[Run]] = {side.name: [] for side in sides}
    away: dict[str, str] = {}
    last: dict[str, float] = {}
    behind: set[str] = set()
    for number in range(-1 if warm_up else 0, wish.rounds):
        turned = number % len(sides)
        if before:
            before()
        for side in (*sides[turned:], *sides[:turned]):
            if side.name in away or side.name in behind:
                continue
            try:
                run = side.run()
            except UnavailableError as error:
                away[side.name] = str(error)
                wish.say(f"  {side.name}: not run: {error}")
                continue
            wish.say(f"  {'warm-up' if number < 0 else f'round {number + 1}'}: {side.name} {run.seconds:.2f} s")
            if number >= 0:
                rounds[side.name].append(run)
            last[side.name] = run.seconds
        if number >= 0:
            behind |= {name for name, seconds in last.items() if seconds > far(wish.size) * last[sides[0].name]}
    runnable = [side for side in sides if side.name not in away]
    check_books(runnable, rounds)
    figures = [sum_up(side, rounds[side.name], rounds[sides[0].name]) for side in runnable]
    return figures, [NotRun(name, reason) for name, reason in away.items()]


def check_books(sides: Sequence[Side], rounds: Mapping[str, Sequence[Run]]) -> None:
    """Hold every run's books against those of the first side in the same round.

    Raises:
        BenchError: with the two books that differ.
    """
    for side in sides:
        for run, first in zip(rounds[side.name], rounds[sides[0].name], strict=False):
            if side.is_right and not same(run.books, first.books):
                raise BenchError(
                    f"{side.name} moved {run.books}, and {sides[0].name} moved {first.books}: its time says nothing.",
                    "everything that the benchmark made is gone.",
                    "look at the side's code; a peer that cannot give the same result is to be marked so",
                )


def same(one: Books, other: Books) -> bool:
    """Say whether count and, where both have them, exact sums are equal."""
    sums = one.amounts is None or other.amounts is None or dict(one.amounts) == dict(other.amounts)
    return one.count == other.count and sums


def sum_up(side: Side, runs: Sequence[Run], ours: Sequence[Run] | None = None) -> Figure:
    """Return a side's figure from its rounds."""
    seconds = [run.seconds for run in runs]
    median = statistics.median(seconds)
    right = all(same(run.books, other.books) for run, other in zip(runs, ours, strict=False)) if ours else True
    return Figure(
        side.name,
        side.kind,
        median,
        (max(seconds) - min(seconds)) / median if median else 0.0,
        runs[-1].books.count / median if median else 0.0,
        runs[-1].books,
        tuple(seconds),
        tuple(run.more for run in runs),
        right,
        side.note,
    )


def speed_ratio(figures: Sequence[Figure], ours: str, other: str) -> float | None:
    """Return how many times as many rows a second one side moves as another; None where either was not run."""
    by_name = {figure.side: figure for figure in figures}
    if ours not in by_name or other not in by_name:
        return None
    return by_name[ours].rate / by_name[other].rate
