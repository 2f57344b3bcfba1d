"""The first look at a file: what it holds, counted and summed, before anything of it is sent."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from contracts.control_total import Money, amounts_as_json, sum_amounts
from contracts.model import Entity
from core.text import shown
from data_generator.ingest.csv_reader import CsvRows
from data_generator.ingest.errors import BadRowsError, ChangedFileError, SourceError
from data_generator.ingest.footer import check_footers
from data_generator.ingest.mapper import Mapped, Outcome, Refused, RowMapper
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.rows import open_rows
from data_generator.ingest.source import Source

_FIRST_PROBLEMS: Final = 10
_PROBLEMS_OF_ROW: Final = 3
TELL_EVERY: Final = 20_000


@dataclass
class Part:
    """Rows of one kind: how many, and the exact money of those whose amount can be read.

    Attributes:
        rows: all of them.
        counts: those with an amount, by currency of the contract.
        sums: of their amounts in major units, by currency.
    """

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    sums: dict[str, Decimal] = field(default_factory=dict)

    def add(self, currency: str | None, amount: Decimal | None) -> None:
        """Count a row."""
        self.rows += 1
        if currency is not None and amount is not None:
            self.counts[currency] += 1
            self.sums[currency] = self.sums.get(currency, Decimal(0)) + amount

    @property
    def amounts(self) -> dict[str, Money]:
        """Count and sum by currency."""
        return {currency: Money(count, self.sums[currency]) for currency, count in sorted(self.counts.items())}

    def as_json(self) -> dict[str, object]:
        """Return it with amounts as text."""
        return {"rows": self.rows, "amounts": amounts_as_json(self.amounts)}


@dataclass
class FileSums:
    """What a pass over a file has found.

    Attributes:
        sent: rows that become events.
        refused: rows that cannot be sent.
        left_out: rows that are no events of this kind, by the mapping.
        reasons: how many rows are refused for each reason code; a row can have several.
        first: what is wrong with the first refused rows, a line each.
    """

    sent: Part = field(default_factory=Part)
    refused: Part = field(default_factory=Part)
    left_out: Part = field(default_factory=Part)
    reasons: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    _units: Counter[str] = field(default_factory=Counter)
    _events: Counter[str] = field(default_factory=Counter)

    @property
    def amounts(self) -> dict[str, Money]:
        """Count and sum of all rows by currency."""
        return sum_amounts(part.amounts for part in (self.sent, self.refused, self.left_out))

    @property
    def rows(self) -> int:
        """All rows of the file but blank ones."""
        return self.sent.rows + self.refused.rows + self.left_out.rows

    def add(self, outcome: Outcome) -> None:
        """Count what became of a row."""
        if isinstance(outcome, Mapped):
            self.sent.rows += 1
            if outcome.event.currency is not None:
                self._events[outcome.event.currency] += 1
                self._units[outcome.event.currency] += outcome.event.units
        elif isinstance(outcome, Refused):
            self.refused.add(outcome.currency, outcome.amount)
            self.reasons.update({problem.code for problem in outcome.problems})
            if len(self.first) < _FIRST_PROBLEMS:
                self.first.append(describe(outcome))
        else:
            self.left_out.add(outcome.currency, outcome.amount)

    def finish(self, minor_digits: dict[str, int]) -> None:
        """Sum the events, which were added in minor units."""
        self.sent.counts = self._events
        self.sent.sums = {
            currency: Decimal(units).scaleb(-minor_digits[currency]) for currency, units in self._units.items()
        }


@dataclass(frozen=True)
class Checked:
    """A file that was looked at.

    Attributes:
        sha256: of the file as it lies there.
        size: its bytes.
        sums: what it holds.
        blank: rows without any value.
        sketch: of the rows of a file without ids.
        columns: all columns of the file, where its form has columns.
    """

    sha256: str
    size: int
    sums: FileSums
    blank: int
    sketch: bytes | None = None
    columns: tuple[str, ...] = ()

    def is_judged(self, entity: Entity) -> bool:
        """Say whether no row was refused for a reason of the contract."""
        return not self.sums.reasons.keys() & {rule.code for rule in entity.rules}

    def is_same(self, other: "Checked") -> bool:
        """Say whether another pass over the file has found the same."""
        mine, theirs = self.sums, other.sums
        return self.sha256 == other.sha256 and (mine.sent, mine.refused, mine.left_out) == (
            theirs.sent,
            theirs.refused,
            theirs.left_out,
        )


def describe(refused: Refused) -> str:
    """Return what is wrong with a row, for people."""
    said = "; ".join(map(str, refused.problems[:_PROBLEMS_OF_ROW]))
    more = len(refused.problems) - _PROBLEMS_OF_ROW
    return f"line {refused.record.line}: {shown(said)}" + (f"; and {more} more" if more > 0 else "")


class Pass:
    """One pass over a file, which counts what it yields.

    Args:
        source: the file.
        mapping: what becomes of its columns.
        card_hash_key: CARD_HASH_KEY; empty where no card number is mapped.
        is_judged: an earlier pass has found no row that the contract calls malformed: it is not asked again.

    Attributes:
        sums: what was found; complete at the end.
    """

    def __init__(
        self, source: Source, mapping: FileMapping, card_hash_key: str = "", *, is_judged: bool = False
    ) -> None:  # fmt: skip
        self._is_judged = is_judged
        self._source = source
        self._mapping = mapping
        self._key = card_hash_key
        self.sums = FileSums()
        self.blank = 0
        self.sketch: bytes | None = None
        self.columns: tuple[str, ...] = ()
        self.footers: list[tuple[int, list[str]]] = []

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what becomes of each row, in the order of the file.

        Raises:
            SourceError: the file cannot be read, or is not what the mapping says.
        """
        rows = open_rows(self._source, self._mapping)
        name = self._source.id_name or self._source.name
        mapper = RowMapper(self._mapping, name, self._key, is_judged=self._is_judged)
        for outcome in mapper.map(rows):
            self.sums.add(outcome)
            yield outcome
        self.sums.finish(dict(self._mapping.entity.currencies))
        self.blank = rows.blank
        self.sketch = mapper.sketch
        self.columns = rows.header
        self.footers = rows.footers if isinstance(rows, CsvRows) else []


def check_file(
    source: Source,
    mapping: FileMapping,
    card_hash_key: str,
    max_bad_rows: int | None,
    *,
    tell: Callable[[int], None] = lambda _: None,
) -> Checked:
    """Look at a whole file.

    Args:
        source: the file.
        mapping: what becomes of its columns.
        card_hash_key: CARD_HASH_KEY.
        max_bad_rows: how many rows may be refused; None: any number.
        tell: told of the rows so far.

    Raises:
        SourceError: it cannot be read, is not what the mapping or its own footer says, or has no rows.
        BadRowsError: more rows are refused.
        ChangedFileError: somebody wrote it at the same time.
    """
    sha256, size = source.sha256(), source.size()
    reading = Pass(source, mapping, card_hash_key)
    for _ in told(reading.outcomes(), tell):
        pass
    if source.sha256() != sha256:
        raise ChangedFileError(source.name)
    sums = reading.sums
    check_footers(source, mapping, reading.footers, sums)
    if not sums.rows:
        raise SourceError(source.name, "it holds no rows", "fetch the file again; an empty day needs no file")
    if max_bad_rows is not None and sums.refused.rows > max_bad_rows:
        raise BadRowsError(source.name, sums.refused.rows, sums.first, max_bad_rows)
    return Checked(sha256, size, sums, reading.blank, reading.sketch, reading.columns)


def told(outcomes: Iterable[Outcome], tell: Callable[[int], None]) -> Iterator[Outcome]:
    """Yield outcomes, telling now and then how many there were."""
    number = 0
    for number, outcome in enumerate(outcomes, 1):
        yield outcome
        if number % TELL_EVERY == 0:
            tell(number)
    tell(number)
