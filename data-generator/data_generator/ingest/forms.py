"""How a file is written, as a mapping states it."""

import codecs
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Form(BaseModel):
    """The base of what a mapping states: unknown keys are errors, and a text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FooterForm(Form):
    """The last lines of a file, which say what it holds.

    Attributes:
        begins: the first value of such a line.
        rows: which value says how many rows there are, from 1.
        amount: which value says the sum of their amounts.
        currency: which value says of which currency; without it the file has one.
    """

    begins: Annotated[str, Field(min_length=1)]
    rows: Annotated[int, Field(ge=1, le=1_000)] | None = None
    amount: Annotated[int, Field(ge=1, le=1_000)] | None = None
    currency: Annotated[int, Field(ge=1, le=1_000)] | None = None


class CsvForm(Form):
    """How CSV is written.

    Attributes:
        delimiter: one character.
        quote: one character, or empty where nothing is quoted.
        escape: the character that makes the next one plain; empty where a quote within quotes is doubled.
        encoding: of the text; a byte order mark goes before it.
        skip_lines: lines before the header.
        columns: the names of the columns, where the file has no header.
        skip_blanks: whether blanks after a delimiter are left out.
        line_breaks: whether a line within quotes may look like a row of its own.
        footer: the lines that say what the file holds; without it there are none.
    """

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(max_length=1)] = '"'
    escape: Annotated[str, Field(max_length=1)] = ""
    encoding: str = "utf-8"
    skip_lines: Annotated[int, Field(ge=0, le=10_000)] = 0
    columns: list[str] = Field(default_factory=list)
    skip_blanks: bool = False
    line_breaks: bool = False
    footer: FooterForm | None = None

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            is_text = codecs.lookup(name)._is_text_encoding
        except LookupError:
            is_text = False
        if not is_text:
            raise ValueError(f"{name} is no encoding that Python knows")
        if codecs.lookup(name).name in {"utf-16", "utf-32"}:
            raise ValueError(f"{name} does not say which byte comes first: write {name}-le or {name}-be")
        return name

    @model_validator(mode="after")
    def _has_different_signs(self) -> "CsvForm":
        signs = [sign for sign in (self.delimiter, self.quote, self.escape) if sign]
        if len(set(signs)) < len(signs) or set(signs) & {"\r", "\n"}:
            raise ValueError("delimiter, quote and escape are different characters, and none ends a line")
        return self


Format = Literal["csv", "json-lines", "parquet"]
