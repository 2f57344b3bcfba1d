"""What a statement says of itself, held against its own lines. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from warehouse.reconcile.statement_file import FooterLine


@dataclass(frozen=True)
class FooterCheck:
    """One figure of the footer: what it says, and what the lines come to."""

    line: int
    currency: str | None
    figure: str
    stated: str
    found: str

    @property
    def agrees(self) -> bool:
        """Whether the lines come to what the footer says."""
        return Decimal(self.stated) == Decimal(self.found)

    def as_json(self) -> dict[str, Any]:
        """Return the check for `--json`."""
        return {
            "line": self.line,
            "currency": self.currency,
            "figure": self.figure,
            "stated": self.stated,
            "found": self.found,
            "ok": self.agrees,
        }


def check_footer(footer: Sequence[FooterLine], sums: Mapping[str, tuple[int, Any]]) -> list[FooterCheck]:
    """Compare each figure of a footer with the lines.

    A currency that has lines and no footer line, where others have one, is checked as if it said 0.

    Args:
        footer: the file's.
        sums: count and amount of its lines by currency.
    """
    checks = []
    for said in footer:
        if said.currency is None:
            count = sum(count for count, _ in sums.values())
            amount = next(iter(sums.values()))[1] if len(sums) == 1 else Decimal(0)
        else:
            count, amount = sums.get(said.currency, (0, Decimal(0)))
        if said.count is not None:
            checks.append(FooterCheck(said.line, said.currency, "count", str(said.count), str(count)))
        # Currencies are never added together: a sum over several of them says nothing that could be checked.
        if said.amount is not None and (said.currency is not None or len(sums) <= 1):
            checks.append(FooterCheck(said.line, said.currency, "amount", said.amount, str(amount)))
    named = {said.currency for said in footer if said.currency is not None}
    if named:
        last = footer[-1].line
        for currency in sorted(sums.keys() - named):
            checks.append(FooterCheck(last, currency, "count", "0", str(sums[currency][0])))
    return checks


def days_of_footer(footer: Sequence[FooterLine]) -> list[date]:
    """Return the days that a footer says the statement is of."""
    return sorted({date.fromisoformat(said.day) for said in footer if said.day})
