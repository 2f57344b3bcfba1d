"""What every event is: judged by whole Arrow batches, for the stream and for the live view.

Nearly every event is a *usual* one: an object with each key once and values of the right kinds. A
pattern over its bytes proves that, and every JSON parser must then read the same. All usual events of a batch are read
at once into typed columns. Every other event gets the strict parser, `contracts.verdict`, one by one.

A producer writes all its events with the same keys in the same order, though not everyone in the contract's: the orders
that the strict parser meets often are learnt, each as a pattern of its own. What is learnt changes only the cost.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from contracts import verdict
from contracts.model import Entity, Field
from contracts.verdict import Verdict

Rows = npt.NDArray[np.intp]  # numbers of rows, ascending
UTC_TIME = pa.timestamp("us", "UTC")
ARROW_TYPES = {
    "string": pa.string(),
    "decimal": pa.decimal128(20, 4),
    "boolean": pa.bool_(),
    "timestamp": UTC_TIME,
    "integer": pa.int64(),
}
# So many events that are not usual are looked at for an order of keys to learn; one as frequent as this is learnt.
SAMPLE = 256
FREQUENT = 8
MOST_LEARNT = 8

_NEXT = r"[\x80-\xbf]"
_HEX = "[0-9a-fA-F]"
# An escape of any character but U+0000 and half of one.
_ESCAPE = (
    rf'\\(?:["\\/bfnrt]|u(?:[1-9a-cA-Ce-fE-F]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}}|0[1-9a-fA-F]{_HEX}{{2}}|00[1-9a-fA-F]{_HEX}'
    rf"|000[1-9a-fA-F]|[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}))"
)
# A JSON text in valid UTF-8, byte by byte: RE2 reads bytes as Latin-1.
_TEXT = (
    rf'"(?:[^"\\\x00-\x1f\x80-\xff]|{_ESCAPE}|[\xc2-\xdf]{_NEXT}|'
    rf"(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef]{_NEXT}|\xed[\x80-\x9f]){_NEXT}|"
    rf'(?:\xf0[\x90-\xbf]|[\xf1-\xf3]{_NEXT}|\xf4[\x80-\x8f]){_NEXT}{_NEXT})*"'
)
_DAY = (
    r"(?:(?:19|20)[0-9]{2}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)|(?:(?:19|20)(?:0[48]|[2468][048]|[13579][26])|2000)-02-29)"
)
# An instant that surely is one. What is rare, such as the zone +18:00, is left to the parser.
INSTANT = (
    rf"{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{{1,6}})?(?:Z|[+-](?:0[0-9]|1[0-7]):[0-5][0-9])"
)
_SPACE = r"[ \t\r\n]*"
# The value of a key that the contract does not know.
_ANY_SCALAR = rf"(?:{_TEXT}|-?(?:0|[1-9][0-9]{{0,17}})(?:[.][0-9]{{1,18}})?|true|false|null)"
_PLAIN_KEY = frozenset(string.ascii_letters + string.digits + "_-.")


@dataclass(frozen=True)
class Judged:
    """What the judge says of some values, in their order.

    Attributes:
        columns: `reasons`, the sorted codes of what is wrong; each field of the contract under the name that it is
            stored as, NULL where there is a reason; utc_offset_minutes, of the event's own zone; unknown_fields, how
            many top-level keys the contract does not know.
        usual: how many were proven by a pattern.
    """

    columns: pa.RecordBatch
    usual: int

    @property
    def is_sound(self) -> pa.BooleanArray:
        """Where nothing is wrong with the value."""
        return pc.equal(pc.list_value_length(self.columns["reasons"]), 0)


class Judge:
    """Judges values by a contract. It may be sent to another process."""

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self._names = tuple(field.name for field in entity.fields)
        self._schema = pa.schema(
            [
                ("reasons", pa.list_(pa.string())),
                *((field.stored_as, ARROW_TYPES[field.type]) for field in entity.fields),
                ("utc_offset_minutes", pa.int32()),
                ("unknown_fields", pa.int32()),
            ]
        )
        # A producer sends optional fields or leaves them out.
        added = {field.name for field in entity.optional_fields}
        orders = dict.fromkeys((tuple(name for name in self._names if name not in added), self._names))
        self._shapes = [_Shape(entity, keys) for keys in orders]
        self._most = len(self._shapes) + MOST_LEARNT

    def __reduce__(self) -> tuple[type["Judge"], tuple[Entity]]:
        return Judge, (self.entity,)

    def judge(self, values: pa.BinaryArray) -> Judged:
        """Return what each value is.

        Args:
            values: the messages' bytes; NULL for a message without a value.
        """
        rest = np.arange(len(values))
        parts: list[tuple[Rows, pa.RecordBatch]] = []
        for shape in tuple(self._shapes):
            rest = self._prove(shape, values, rest, parts)
        usual = len(values) - len(rest)
        if len(rest):
            sample, rest = rest[:SAMPLE], rest[SAMPLE:]
            verdicts = self._ask_the_parser(values, sample, parts)
            for shape in self._learn(verdicts) if len(rest) else ():
                before = len(rest)
                rest = self._prove(shape, values, rest, parts)
                usual += before - len(rest)
            self._ask_the_parser(values, rest, parts)
        return Judged(self._in_order(parts), usual)

    def _prove(self, shape: "_Shape", values: pa.BinaryArray, rows: Rows, parts: list[Any]) -> Rows:
        """Judge those of the rows that have the shape; return the others."""
        if not len(rows):
            return rows
        asked = values if len(rows) == len(values) else values.take(pa.array(rows))
        found = pc.and_(
            pc.match_substring_regex(asked, shape.pattern),
            pc.less_equal(pc.binary_length(asked), self.entity.platform.max_value_bytes),
        ).fill_null(False)
        if not found.true_count:
            return rows
        event = shape.read(asked.filter(found))
        known: npt.NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
        mine, others = rows[known], rows[~known]
        exact = self._is_exact(event)
        if exact.false_count:
            chosen = exact.to_numpy(zero_copy_only=False)
            others = np.union1d(others, mine[~chosen])
            mine, event = mine[chosen], event.filter(exact)
        parts.append((mine, self._sound(event, shape.unknown_fields)))
        return others

    def _is_exact(self, event: pa.RecordBatch) -> pa.BooleanArray:
        """Say where the amount has no more decimals than its currency."""
        amount, currency = event[self.entity.amount], event[self.entity.currency].dictionary_encode()
        digits = [
            self.entity.currencies.get(code.as_py(), self.entity.platform.unknown_currency_digits)
            for code in currency.dictionary
        ]
        exact = pa.array(np.ones(len(amount), bool))
        for places in set(digits) - {ARROW_TYPES["decimal"].scale}:
            # Rounding up would overflow where all digits are nines.
            fits = pc.equal(amount, pc.round(amount, places, "towards_zero"))
            if len(set(digits)) > 1:
                has_these = pa.array([each == places for each in digits]).take(currency.indices)
                fits = pc.or_(fits, pc.invert(has_these))
            exact = pc.and_(exact, fits)
        return exact

    def _sound(self, event: pa.RecordBatch, unknown_fields: int) -> pa.RecordBatch:
        rows = event.num_rows
        written = event[self.entity.event_time]
        zone = pc.if_else(pc.ends_with(written, "Z"), "+00:00", pc.utf8_slice_codeunits(written, -6))
        zone = zone.dictionary_encode()
        minutes = pa.array([_minutes(each) for each in zone.dictionary.to_pylist()], pa.int32())
        columns = [
            event[field.name].cast(UTC_TIME) if field.type == "timestamp" else event[field.name]
            for field in self.entity.fields
        ]
        none = pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], pa.string()))
        unknown = pa.array(np.full(rows, unknown_fields, np.int32))
        return self._batch([none, *columns, minutes.take(zone.indices), unknown])

    def _ask_the_parser(self, values: pa.BinaryArray, rows: Rows, parts: list[Any]) -> list[Verdict]:
        found = [verdict.judge(each, self.entity) for each in values.take(pa.array(rows)).to_pylist()]
        if found:
            columns = [
                pa.array([_fit(each.stated(field)) for each in found], ARROW_TYPES[field.type])
                for field in self.entity.fields
            ]
            reasons = pa.array([sorted(each.reasons) for each in found], pa.list_(pa.string()))
            zones = pa.array([each.utc_offset_minutes for each in found], pa.int32())
            unknown = pa.array([each.unknown_fields for each in found], pa.int32())
            parts.append((rows, self._batch([reasons, *columns, zones, unknown])))
        return found

    def _learn(self, found: Iterable[Verdict]) -> Iterator["_Shape"]:
        """Learn the frequent orders of keys among verdicts of the parser; yield the new ones."""
        orders = Counter(tuple(each.event) for each in found if each.event is not None)
        known = {shape.keys for shape in self._shapes}
        for keys, count in orders.most_common():
            if count < FREQUENT or len(self._shapes) >= self._most:
                return
            if keys not in known and all(key and _PLAIN_KEY.issuperset(key) for key in keys):
                self._shapes.append(_Shape(self.entity, keys))
                yield self._shapes[-1]

    def _in_order(self, parts: list[tuple[Rows, pa.RecordBatch]]) -> pa.RecordBatch:
        if not parts:
            return pa.RecordBatch.from_pylist([], self._schema)
        if len(parts) == 1:
            return parts[0][1]
        rows = np.concatenate([rows for rows, _ in parts])
        return pa.concat_batches([columns for _, columns in parts]).take(pa.array(np.argsort(rows)))

    def _batch(self, columns: Sequence[pa.Array]) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(list(columns), schema=self._schema)


class _Shape:
    """One order of keys: the pattern of its events, and how they are read.

    Attributes:
        keys: in order; every field that must be there is among them.
        pattern: of the whole value, for RE2.
        unknown_fields: how many of the keys the contract does not know.
    """

    def __init__(self, entity: Entity, keys: tuple[str, ...]) -> None:
        fields = {field.name: field for field in entity.fields}
        self.keys = keys
        self.unknown_fields = sum(key not in fields for key in keys)
        pairs = (f'"{re.escape(key)}"{_SPACE}:{_SPACE}{_value(fields.get(key), entity)}' for key in keys)
        inner = f"{_SPACE},{_SPACE}".join(pairs)
        self.pattern = rf"\A{_SPACE}[{{]{_SPACE}{inner}{_SPACE}[}}]{_SPACE}\z"
        texts = {"timestamp": pa.string()}  # the zone is read from it
        self._options = pj.ParseOptions(
            explicit_schema=pa.schema([(f.name, texts.get(f.type, ARROW_TYPES[f.type])) for f in entity.fields]),
            newlines_in_values=True,
            unexpected_field_behavior="ignore",
        )

    def read(self, values: pa.BinaryArray) -> pa.RecordBatch:
        """Return the fields of values that have this shape, timestamps as text."""
        offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
        text = values.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        # As one block: a value would be cut at a block's end. Spark has a task a core already.
        whole = pj.ReadOptions(use_threads=False, block_size=max(text.size + 1, 1 << 16))
        read = pj.read_json(pa.BufferReader(text), read_options=whole, parse_options=self._options).combine_chunks()
        if read.num_rows != len(values):
            raise ValueError(f"{read.num_rows} events were read from {len(values)} values")
        return read.to_batches()[0]


def _value(field: Field | None, entity: Entity) -> str:
    if field is None:
        return _ANY_SCALAR
    whole = f"-?(?:0|[1-9][0-9]{{0,{entity.platform.amount_integer_digits - 1}}})"
    decimals = f"(?:[.][0-9]{{1,{ARROW_TYPES['decimal'].scale}}})?"
    kinds = {
        "decimal": whole + decimals,
        "boolean": "(?:true|false)",
        "timestamp": f'"{INSTANT}"',
        "string": _TEXT,
    }
    return kinds[field.type] if field.structural else f"(?:{kinds[field.type]}|null)"


def _fit(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    with localcontext() as exact:
        exact.prec = 60
        return value.quantize(Decimal("0.0001"))


def _minutes(zone: str) -> int:
    return (-1 if zone[0] == "-" else 1) * (60 * int(zone[1:3]) + int(zone[4:]))
