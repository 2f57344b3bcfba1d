"""One line of the proof: two sides that must be equal, and the verdict."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from contracts.model import PAYMENTS

OK, OPEN, UNATTESTED, VOID, DIFFERENT = "OK", "OPEN", "UNATTESTED", "VOID", "DIFFERENT"


@dataclass(frozen=True)
class Side:
    """Count and amount of one side; the amount is None where there is no currency to count in."""

    count: int = 0
    amount: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the side as `proof --json` shows it."""
        return {"count": self.count, "amount": _text(self.amount)}


@dataclass(frozen=True)
class Equation:
    """A line of the proof.

    Attributes:
        name: E0 to E4.
        scope: what it is about: partition, load, status ... and the entity, where it is not the payments.
        currency: None for counts only.
        is_open: the right side is known to be behind, so that a difference is no finding yet.
        is_unattested: nobody says what the left side should be.
        is_void: an operator has ended the feed: nothing is compared any more.
    """

    name: str
    scope: Mapping[str, Any]
    currency: str | None
    left: Side
    right: Side
    is_open: bool = False
    is_unattested: bool = False
    is_void: bool = False
    verdict: str = field(init=False)

    def __post_init__(self) -> None:
        equal = self.left.count == self.right.count and (self.left.amount or 0) == (self.right.amount or 0)
        judged = OK if equal else DIFFERENT
        flags = ((VOID, self.is_void), (UNATTESTED, self.is_unattested), (OPEN, self.is_open))
        object.__setattr__(self, "verdict", next((verdict for verdict, is_so in flags if is_so), judged))

    @property
    def entity(self) -> str:
        """The name of the entity whose books it compares."""
        return entity_of(self.scope)

    @property
    def difference(self) -> Side:
        """Left minus right."""
        amounts = (self.left.amount, self.right.amount)
        amount = None if amounts == (None, None) else (amounts[0] or Decimal(0)) - (amounts[1] or Decimal(0))
        return Side(self.left.count - self.right.count, amount)

    def as_json(self) -> dict[str, Any]:
        """Return the line as `proof --json` shows it."""
        return {
            "name": self.name,
            "scope": dict(self.scope),
            "currency": self.currency,
            "left": self.left.as_json(),
            "right": self.right.as_json(),
            "difference": self.difference.as_json(),
            "verdict": self.verdict,
        }


def entity_of(scope: Mapping[str, Any]) -> str:
    """Return the name of the entity that a line is about."""
    return str(scope.get("entity", PAYMENTS))


def name_entity(entity: str, equations: Iterable[Equation]) -> Iterator[Equation]:
    """Yield the equations with their entity in the scope. Those of payments look as before there were others."""
    for equation in equations:
        yield equation if entity == PAYMENTS else replace(equation, scope={"entity": entity, **equation.scope})


def _text(amount: Decimal | None) -> str | None:
    """Return an amount with two digits, or more where there are more."""
    if amount is None:
        return None
    plain = f"{amount.normalize():f}"
    digits = len(plain.partition(".")[2])
    return plain if digits >= 2 else f"{amount:.2f}"
