"""What a redrive has planned, counted by what will become of it."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from contracts.control_total import Money, amounts_as_json
from warehouse.dlq.plan import Intent


@dataclass
class Tally:
    """What a redrive has planned so far, by what will become of it."""

    letters: int = 0
    unchanged: int = 0
    well_formed: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    amounts: dict[str, Money] = field(default_factory=dict)

    def add(self, planned: list[Intent]) -> None:
        """Count a page."""
        for intent in planned:
            self.letters += 1
            self.unchanged += not intent.is_changed
            self.well_formed += not intent.expected
            self.malformed.update(intent.expected)
            if intent.currency:
                money = Money(1, intent.amount or Decimal(0))
                self.amounts[intent.currency] = self.amounts.get(intent.currency, Money()) + money

    def as_json(self) -> dict[str, Any]:
        """Return the part of the outcome that is about the letters."""
        return {
            "letters": self.letters,
            "unchanged": self.unchanged,
            "expected": {"well_formed": self.well_formed, "malformed": dict(sorted(self.malformed.items()))},
            "amounts": amounts_as_json(self.amounts),
        }
