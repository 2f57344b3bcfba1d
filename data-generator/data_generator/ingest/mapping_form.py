"""What a mapping's YAML may state."""

from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from core.text import shown_list
from data_generator.ingest.amounts import AmountForm
from data_generator.ingest.expressions import Expression, ExpressionError
from data_generator.ingest.forms import CsvForm, Form, Format
from data_generator.ingest.times import TimeForm

_KINDS: Final = ("column", "constant", "expression", "lookup", "hash_of")


class LookupForm(Form):
    """Where a value is looked up.

    Attributes:
        file: JSON or CSV, beside the mapping.
        key: the column with the key.
        key_column: of a CSV file, the column with the keys.
        value_column: of a CSV file, the column with the values.
        missing: what a key becomes that is not there: a refused row, or no value.
    """

    file: str
    key: str
    key_column: str = ""
    value_column: str = ""
    missing: Literal["refuse", "none"] = "refuse"


class FieldSource(Form):
    """Where the values of one field come from.

    Attributes:
        column: of the file.
        constant: the same for all rows.
        expression: see `expressions`.
        lookup: a value of another file.
        hash_of: of the id: the columns that identify a row of a file without ids.
        map: the file's words, and what they become.
        otherwise: what a word becomes that the map does not have; without it such a row is refused.
        written: how amounts and times are written.
    """

    column: str | None = None
    constant: str | bool | None = None
    expression: str | None = None
    lookup: LookupForm | None = None
    hash_of: Annotated[list[str], Field(min_length=1)] | None = None
    map: dict[str, str | bool] | None = None
    otherwise: str | bool | None = None
    written: dict[str, Any] = Field(default_factory=dict)

    @field_validator("expression")
    @classmethod
    def _can_be_read(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                Expression(text)
            except ExpressionError as error:
                raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> "FieldSource":
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            named = f"{shown_list(kinds)} are" if kinds else "nothing is"
            raise ValueError(f"{named} named; a field has one of {', '.join(_KINDS)}")
        if self.otherwise is not None and self.map is None:
            raise ValueError("`otherwise:` goes with `map:`")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that its values are made of."""
        if self.column is not None:
            return (self.column,)
        if self.lookup is not None:
            return (self.lookup.key,)
        if self.expression is not None:
            return Expression(self.expression).columns
        return tuple(self.hash_of or ())

    @cached_property
    def amounts(self) -> AmountForm:
        """How amounts are written."""
        return AmountForm(**self.written)

    @cached_property
    def times(self) -> TimeForm:
        """How times are written."""
        return TimeForm(**self.written)


class MappingForm(Form):
    """A mapping as its file states it.

    Attributes:
        about: one sentence: which files it is for.
        format: csv, json-lines or parquet.
        csv: how CSV is written.
        encoding: of JSON lines.
        member: the file inside a zip, where there are several.
        name: what the file is called in the books; without it, by its path.
        fields: where each field of an event comes from; one that is not named is null.
        status_at: when a status was reached; without it, when the event happened.
        leave_out: an expression: rows for which it is true are no events of this kind.
    """

    about: str
    format: Format = "csv"
    csv: CsvForm = CsvForm()
    encoding: str = "utf-8"
    member: str | None = None
    name: str | None = None
    fields: dict[str, FieldSource]
    status_at: FieldSource | None = None
    leave_out: str | None = None

    @field_validator("leave_out")
    @classmethod
    def _can_be_read(cls, text: str | None) -> str | None:
        return FieldSource._can_be_read(text)
