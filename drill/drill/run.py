"""One drill: which rounds are played, and what is said of them."""

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from types import FrameType
from typing import Any

from control.progress import say
from core.errors import TieoutError
from drill import large
from drill.harness import Harness, drill_ground
from drill.proving import Report, compute_anew, counted, report
from drill.scenarios import SCENARIOS, Kills, Scenario

KILLS = "kills"
# What `--all` plays; the others need a larger platform than the plain one.
NAMES = (KILLS, *SCENARIOS)
KNOWN = (*NAMES, *large.SCENARIOS)


@dataclass
class Result:
    """A drill's rounds, and what repeats it.

    Attributes:
        error: what ended it early, if anything did.
    """

    seed: int
    command: str
    rounds: list[Report] = field(default_factory=list)
    error: TieoutError | None = None

    @property
    def ok(self) -> bool:
        """True when rounds were played and nothing differs."""
        return self.error is None and bool(self.rounds) and all(each.ok for each in self.rounds)

    @property
    def kills(self) -> Counter[str]:
        """How many kills hit, by target."""
        return Counter(kill.target for each in self.rounds for kill in each.kills)

    def as_json(self) -> dict[str, Any]:
        """Return the form of `drill --json`."""
        return {
            "ok": self.ok,
            "seed": self.seed,
            "repeat": self.command,
            "kills": sum(self.kills.values()),
            "kills_by_target": dict(sorted(self.kills.items())),
            "offsets_by_entity": self.rounds[-1].offsets if self.rounds else {},
            "rounds": [each.as_json() for each in self.rounds],
            **({"error": str(self.error)} if self.error else {}),
        }

    def __str__(self) -> str:
        """Say it in a few lines."""
        kills = ", ".join(f"{target} {count}" for target, count in self.kills.most_common()) or "none"
        lines = [f"seed {self.seed}: {len(self.rounds)} rounds, {sum(self.kills.values())} kills ({kills})"]
        for each in self.rounds:
            lines += [f"{each.scenario} {each.number}: {difference}" for difference in each.differences]
        if self.ok:
            lines.append(f"{counted(self.rounds[-1].offsets)}: every offset once")
            lines.append("every equation OK, every mart as computed anew: the books tie out")
        else:
            lines.append(f"the same again: {self.command}")
        return "\n".join(lines)


def play(names: tuple[str, ...], seed: int, rounds: int, *, keep: bool, profiles: tuple[str, ...] = ()) -> Result:
    """Start a throw-away platform, play the rounds on it, and take it away again.

    It stays on the disk, stopped, when it is asked for, or when something does not tie out: it is the evidence then.

    Args:
        names: scenarios; `kills` is played `rounds` times, each other once.
        seed: same seed, same kills; what they hit depends on the machine's pace too.
        profiles: optional parts of that platform, besides those that the scenarios need.

    Raises:
        TieoutError: the machine is too small, or the platform does not start.
    """
    chosen = " ".join(f"--scenario {name}" for name in names) if names != NAMES else "--all"
    needed = tuple(dict.fromkeys((*profiles, *(large.NEEDS[name] for name in names if name in large.NEEDS))))
    parts = "".join(f" --with {name}" for name in profiles)
    result = Result(seed, f"./scripts/tieout drill {chosen}{parts} --seed {seed} --rounds {rounds}")
    signal.signal(signal.SIGTERM, _end)
    say(f"drill: seed {seed}; a platform of its own is started, yours is not touched")
    with drill_ground(needed) as harness:
        harness.keep = keep
        try:
            _play(harness, result, names, rounds)
        except TieoutError as error:
            result.error = error
        except Exception:
            harness.keep = True
            raise
        harness.keep = keep or not result.ok
    if harness.keep:
        say(f"  the drill's platform is stopped and kept at {harness.layout.home}")
    return result


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(143)


def _play(harness: Harness, result: Result, names: tuple[str, ...], rounds: int) -> None:
    for scenario, name, number in _rounds(names, rounds, result.seed):
        chance = Random(f"{result.seed} {name} {number}")  # noqa: S311  # nothing secret is drawn
        told = report(name, number, partial(scenario, harness, chance))
        result.rounds.append(told)
        say(str(told))
        if not told.ok:
            return
    last = result.rounds[-1]
    last.differences += compute_anew(harness)


def _rounds(names: tuple[str, ...], rounds: int, seed: int) -> Iterator[tuple[Scenario, str, int]]:
    for name in names:
        if name == KILLS:
            kills = Kills(Random(seed))  # noqa: S311
            yield from ((kills, KILLS, number) for number in range(1, rounds + 1))
        else:
            yield {**SCENARIOS, **large.SCENARIOS}[name], name, 1
