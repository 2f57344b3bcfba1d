"""What a file's footer says of it, compared with its rows."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from contracts.control_total import Money
from core.text import shown
from data_generator.ingest.amounts import BLANKS, AmountReader
from data_generator.ingest.errors import SourceError
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.source import Source

_NEXT = "fetch the file again, or ask its sender which of the two is right"


class Counted(Protocol):
    """What a pass has counted."""

    @property
    def rows(self) -> int:
        """All rows."""

    @property
    def amounts(self) -> Mapping[str, Money]:
        """Count and sum of all rows by currency."""


def check_footers(
    source: Source, mapping: FileMapping, footers: Sequence[tuple[int, list[str]]], counted: Counted
) -> None:
    """Compare the footers of a file with its rows: all of them, also those that are refused or left out.

    Raises:
        SourceError: the mapping names a footer and there is none, or it says something else.
    """
    form = mapping.form.csv.footer
    if form is None or mapping.form.format != "csv":
        return
    if not footers:
        raise SourceError(
            source.name, f"no line begins with {shown(form.begins)}: its footer is missing", "fetch the file again"
        )
    for line, values in footers:
        said = {
            name: _value(source, line, values, place)
            for name, place in (("rows", form.rows), ("amount", form.amount), ("currency", form.currency))
            if place is not None
        }
        currency = said.get("currency") or (next(iter(counted.amounts)) if len(counted.amounts) == 1 else None)
        here = counted.amounts.get(currency or "", Money())
        if "rows" in said:
            rows = here.count if "currency" in said else counted.rows
            if said["rows"] != str(rows):
                what = f"its footer says {shown(said['rows'])} rows, and there are {rows}"
                raise SourceError(source.name, what, _NEXT, line)
        if "amount" in said:
            if currency is None:
                what = "its footer names no currency, and the rows have several"
                raise SourceError(source.name, what, "say in `footer:` which value is the `currency`", line)
            if _amount(source, mapping, line, said["amount"], currency) != here.amount:
                what = f"its footer says {shown(said['amount'])} {currency}, and the rows sum to {here.amount:f}"
                raise SourceError(source.name, what, _NEXT, line)


def _value(source: Source, line: int, values: Sequence[str], place: int) -> str:
    if place > len(values):
        raise SourceError(
            source.name, f"its footer has {len(values)} values, and value {place} is asked for", _NEXT, line
        )
    return values[place - 1].strip(BLANKS)


def _amount(source: Source, mapping: FileMapping, line: int, text: str, currency: str) -> Decimal:
    entity = mapping.entity
    reader = AmountReader(mapping.form.fields[entity.amount].amounts)
    try:
        return Decimal(reader.read(text, entity.currencies.get(currency, 0)))
    except ValueError as error:
        raise SourceError(source.name, f"the sum of its footer {error}", _NEXT, line) from None
