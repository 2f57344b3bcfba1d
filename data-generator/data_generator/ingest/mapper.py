"""Rows to events: each row becomes an event, or is refused with all reasons, or is left out as the mapping says."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b, sha512
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from contracts.judge import Judge
from contracts.model import Field
from core.text import shown
from data_generator.events import PAYMENT, Event
from data_generator.ingest.amounts import AmountReader, units_of
from data_generator.ingest.expressions import Expression, Row
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.mapping_form import FieldSource
from data_generator.ingest.record import VALUE_FORM, Problem, Record
from data_generator.ingest.row_ids import RowIds
from data_generator.ingest.values import (
    Keyed,
    Shower,
    Value,
    WrongValueError,
    compile_field,
    compile_text,
    compile_time,
    with_map,
)

_BATCH: Final = 2_000
# A card pays more than once.
_CARDS_KEPT: Final = 50_000
_CARD: Final = re.compile(r"[0-9]{8,19}")
# What the books hold of an amount: numeric(20,4).
_MOST_WHOLE, _MOST_FRACTION = 16, 4


class Refused(NamedTuple):
    """A row that cannot be sent.

    Attributes:
        record: the row.
        problems: all that is wrong with it.
        currency: of its money; None where no amount can be read.
        amount: its money, exact.
    """

    record: Record
    problems: tuple[Problem, ...]
    currency: str | None
    amount: Decimal | None


class LeftOut(NamedTuple):
    """A row that is no event of this kind, by the mapping."""

    record: Record
    currency: str | None
    amount: Decimal | None


class Mapped(NamedTuple):
    """A row that became an event."""

    record: Record
    event: Event


Outcome = Mapped | Refused | LeftOut


class RowMapper:
    """Maps the rows of one file, in one pass.

    Args:
        mapping: what becomes of which column.
        name: of the logical file: part of made ids.
        card_hash_key: CARD_HASH_KEY, for expressions with card_id; without one they give an empty text.
        is_judged: an earlier pass has found nothing that the contract calls malformed.
    """

    def __init__(
        self, mapping: FileMapping, name: str, card_hash_key: str = "", *, is_judged: bool = False
    ) -> None:  # fmt: skip
        self._is_judged = is_judged
        self._mapping = mapping
        self._entity = mapping.entity
        self._columns = mapping.columns
        self._shower = Shower(_personal_columns(mapping))
        self._keyed: Keyed = {"card_id": _card_ids(card_hash_key)}
        self._ids = RowIds(name)
        self._judge = Judge(mapping.entity)
        form = mapping.form
        self._leave_out = (
            Expression(form.leave_out).compiled(self._columns, self._keyed) if form.leave_out is not None else None
        )
        self._fields = {
            name: self._compile(name, form.fields[name])
            for name in map(_name, self._entity.fields)
            if name in form.fields
        }
        # In the contract's order: the judge reads events with it at once.
        self._template: dict[str, Any] = dict.fromkeys(map(_name, self._entity.fields))
        self._changing = list(self._fields.items())
        for field, value in self._fields.items():
            if form.fields[field].constant is not None:
                with suppress(WrongValueError):  # each row says what is wrong
                    self._template[field] = value(())
                    self._changing.remove((field, value))
        self._amounts = {
            field.name: AmountReader(form.fields[field.name].amounts)
            for field in self._entity.fields
            if field.type == "decimal" and field.name in form.fields
        }
        self._status_at = None
        if form.status_at is not None:
            said = with_map(form.status_at, self._text(form.status_at), self._shower)
            self._status_at = compile_time(form.status_at, said, self._shower)

    @property
    def sketch(self) -> bytes | None:
        """The sketch of the rows so far; None where the file has ids of its own."""
        key = self._mapping.form.fields.get(self._entity.key)
        return self._ids.sketch.as_bytes() if key and key.hash_of is not None else None

    def map(self, rows: Iterable[Record]) -> Iterator[Outcome]:
        """Yield what becomes of each row, in their order."""
        waiting = iter(rows)
        try:
            while batch := [self._map(record) for record in islice(waiting, _BATCH)]:
                yield from batch if self._is_judged else self._judged(batch)
        finally:
            self._ids.close()

    def _compile(self, name: str, source: FieldSource) -> Value:
        if source.hash_of is not None:
            places = [self._columns.index(column) for column in source.hash_of]
            return lambda row: self._ids.make([row[place] for place in places])
        text = self._text(source, name)
        field = self._entity.field(name)
        if field.type == "decimal":
            return with_map(source, text, self._shower)
        return compile_field(field, source, self._columns, text, self._shower)

    def _text(self, source: FieldSource, name: str = "") -> Value:
        return compile_text(source, self._columns, self._keyed, self._mapping.lookups.get(name), self._shower)

    def _map(self, record: Record) -> Outcome:
        if record.values is None:
            problem = record.problem or Problem(VALUE_FORM, "it cannot be read")
            return Refused(record, (problem,), None, None)
        row = record.values
        if self._leave_out is not None and self._is_left_out(row):
            return LeftOut(record, *self._money(row))
        fields = self._template.copy()
        problems: list[Problem] = []
        for name, value in self._changing:
            try:
                fields[name] = value(row)
            except WrongValueError as error:
                fields[name] = None
                problems.append(error.problem)
        currency, units = fields.get(self._entity.currency), None
        digits = self._entity.currencies.get(currency or "")
        for name, reader in self._amounts.items():
            said = fields[name]
            if said == "" or said is None:
                fields[name] = None
                continue
            try:
                text = reader.read(said, self._digits(digits))
            except ValueError as error:
                problems.append(self._wrong_amount(name, said, error))
                continue
            fields[name] = orjson.Fragment(text)
            if name == self._entity.amount and digits is not None:
                units = units_of(text, digits)
        if problems:
            return self._refused(record, tuple(problems))
        return self._event(record, fields, None if units is None else currency, units or 0)

    def _is_left_out(self, row: Row) -> bool:
        try:
            return bool(self._leave_out and self._leave_out(row))
        except (TypeError, ValueError):  # it cannot be said of this row: its fields say more
            return False

    def _event(self, record: Record, fields: dict[str, Any], currency: str | None, units: int) -> Outcome:
        entity = self._entity
        try:
            value = orjson.dumps(fields)
            status_at = fields.get(entity.event_time) or ""
            if self._status_at is not None and record.values is not None:
                status_at = self._status_at(record.values) or status_at
        except WrongValueError as error:
            return self._refused(record, (error.problem,))
        except (TypeError, ValueError):
            problem = Problem(VALUE_FORM, "a text holds half of a character")
            return self._refused(record, (problem,))
        key = str(fields.get(entity.message_key) or fields.get(entity.key) or "").encode()
        event = Event(PAYMENT, key, value, status_at, currency, units, None, None, entity.name, record.line)
        return Mapped(record, event)

    def _refused(self, record: Record, problems: tuple[Problem, ...]) -> Refused:
        values = record.values or ()
        if not record.raw:  # a row of Parquet has no text of its own
            row = json.dumps(dict(zip(self._columns, values, strict=True)), ensure_ascii=False)
            record = record._replace(raw=row)
        return Refused(record, problems, *self._money(values))

    def _judged(self, batch: list[Outcome]) -> Iterator[Outcome]:
        """Yield a batch with those rows refused that the contract calls malformed."""
        values = [each.event.value for each in batch if isinstance(each, Mapped)]
        judged = self._judge.judge(pa.array(values, pa.binary()))
        if values and judged.is_sound.true_count == len(values):
            yield from batch
            return
        reasons = iter(judged.columns["reasons"].to_pylist() if values else ())
        for each in batch:
            codes = next(reasons) if isinstance(each, Mapped) else None
            if codes and isinstance(each, Mapped):
                yield self._refused(each.record, tuple(self._of_contract(code) for code in codes))
            else:
                yield each

    def _of_contract(self, code: str) -> Problem:
        rule = self._entity.rule(code)
        source = self._mapping.form.fields.get(rule.field or "")
        column = source.columns[0] if source and source.columns else None
        return Problem(code, rule.meaning.rstrip("."), column)

    def _digits(self, digits: int | None) -> int:
        return self._entity.platform.unknown_currency_digits if digits is None else digits

    def _wrong_amount(self, name: str, said: object, error: ValueError) -> Problem:
        columns = self._mapping.form.fields[name].columns
        what = f"{self._shower.show(columns, shown(said))} {error}"
        return Problem(VALUE_FORM, what, columns[0] if columns else None)

    def _money(self, row: Row) -> tuple[str | None, Decimal | None]:
        """Return the money of a row that is not sent, as far as it can be read: None, None where it cannot."""
        currency_of, amount_of = self._fields.get(self._entity.currency), self._fields.get(self._entity.amount)
        reader = self._amounts.get(self._entity.amount)
        if not row or currency_of is None or amount_of is None or reader is None:
            return None, None
        try:
            currency = currency_of(row)
            if currency not in self._entity.currencies:
                return None, None
            amount = Decimal(reader.read(amount_of(row), self._entity.currencies[currency]))
        except (ValueError, AttributeError, TypeError, ArithmeticError):
            return None, None
        exponent = amount.as_tuple().exponent
        fits = isinstance(exponent, int) and exponent >= -_MOST_FRACTION and amount.adjusted() < _MOST_WHOLE
        return (currency, amount) if fits else (None, None)


def _name(field: Field) -> str:
    return field.name


def _personal_columns(mapping: FileMapping) -> frozenset[str]:
    personal = {field.name for field in mapping.entity.fields if field.personal != "internal"}
    return frozenset(
        column for name, source in mapping.form.fields.items() if name in personal for column in source.columns
    )


def _card_ids(secret: str) -> Callable[[str], str]:
    """Return the function card_id: a card number's pseudonym, the same that the gateway gives it."""
    key = sha512(secret.encode()).digest()

    @lru_cache(maxsize=_CARDS_KEPT)
    def card_id(number: str) -> str:
        if not number:
            return ""
        if _CARD.fullmatch(number) is None:
            raise ValueError(f"{len(number)} characters are no card number of 8 to 19 digits")
        digest = blake2b(number.encode(), key=key, digest_size=16, person=b"tieout-card").digest()
        return "C" + digest[:10].hex().upper()

    return card_id
