"""Rows of Parquet: every value as the text that says it exactly."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.text import shown_list
from data_generator.ingest.errors import SourceError
from data_generator.ingest.record import Record
from data_generator.ingest.source import Source

_BATCH = 4_096
_MOST_COLUMNS_SHOWN = 30


class ParquetRows:
    """The rows of a Parquet file.

    A binary floating-point number is written as the shortest decimal that reads back as it; a mapping has to say that
    its money may be one.

    Args:
        source: the file.
        wanted: the columns whose values are asked for.
        exact: those of them that must not be binary floating-point numbers.

    Attributes:
        blank: rows whose asked values are all null, passed over.
    """

    def __init__(self, source: Source, wanted: Sequence[str], exact: Sequence[str] = ()) -> None:
        self._source = source
        self._wanted = list(wanted)
        self._exact = exact
        self.blank = 0
        self.header: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Record]:
        self.blank = 0
        try:
            with pq.ParquetFile(self._source.path) as file:
                self._check(file.schema_arrow)
                yield from self._records(file)
        except pa.ArrowException as error:
            raise SourceError(
                self._source.name, f"it is no Parquet, or damaged ({error})", "fetch the file again"
            ) from None

    def _check(self, schema: pa.Schema) -> None:
        missing = [name for name in self._wanted if name not in schema.names]
        if missing:
            raise SourceError(
                self._source.name,
                f"there is no column {shown_list(missing)}; it has {shown_list(schema.names[:_MOST_COLUMNS_SHOWN])}",
                "name the file's own columns in the mapping, or use another mapping",
            )
        for name in self._wanted:
            if schema.names.count(name) > 1:
                raise SourceError(
                    self._source.name, f"the column {name} is there twice", "give the columns different names"
                )
            if name in self._exact and pa.types.is_floating(schema.field(name).type):
                raise SourceError(
                    self._source.name,
                    f"the column {name} has the type {schema.field(name).type}, in which most amounts are not exact",
                    "export it as decimal; or `binary: shortest` in the mapping takes the shortest decimal of each",
                )

    def _records(self, file: pq.ParquetFile) -> Iterator[Record]:
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH, columns=self._wanted):
            by_name = {name: batch.column(place) for place, name in enumerate(batch.schema.names)}
            columns = [_texts(by_name[name]) for name in self._wanted]
            for values in zip(*columns, strict=True) if columns else ((),) * batch.num_rows:
                number += 1
                if all(value is None for value in values):
                    self.blank += 1
                    continue
                yield Record(number, None, "", values)


def _texts(column: pa.Array) -> list[str | None]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts: list[str | None] = column.to_pylist()
        return texts
    if pa.types.is_dictionary(column.type):
        return _texts(column.cast(column.type.value_type))
    if pa.types.is_float32(column.type):
        return [None if value is None else str(np.float32(value)) for value in column.to_pylist()]
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz))
    return [None if value is None else _text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
