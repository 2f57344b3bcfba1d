"""What a strike may use, and what it notes: one round of kills."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from drill.harness import Harness

EVENTS = 400
# Of successful payments; many enough that each feed has some in every status, and broken ones.
REFUNDS = "0.2"


@dataclass(frozen=True)
class Kill:
    """One SIGKILL that hit.

    Attributes:
        target: producer, stream, loader, dbt, broker or database.
        moment: at which failpoint, or how long after which sign of work.
    """

    target: str
    moment: str

    def __str__(self) -> str:
        return f"{self.target} {self.moment}"


@dataclass
class Round:
    """What a strike may use.

    Attributes:
        kills: those of this round so far.
    """

    harness: Harness
    chance: Random
    kills: list[Kill] = field(default_factory=list)

    def struck(self, target: str, moment: str) -> None:
        """Note a kill."""
        self.kills.append(Kill(target, moment))

    def feed(self, rate: int = 0, total: int = EVENTS) -> tuple[str, ...]:
        """Return the words of a new feed, broken events and refunds in it; the same words make the same events."""
        start = datetime.now(UTC).isoformat(timespec="milliseconds")
        seed = str(self.chance.randrange(2**31))
        size = ("--total", str(total), "--rate", str(rate))
        return ("produce", *size, "--faults", "0.05", "--refunds", REFUNDS, "--seed", seed, "--start", start)

    def pause(self, longest: float) -> float:
        """Sleep for a random time and return it."""
        seconds = self.chance.uniform(0, longest)
        time.sleep(seconds)
        return seconds
