"""How one field's value is made of a row: functions that a mapping is compiled to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.model import Field
from core.text import shown
from data_generator.ingest.expressions import Expression, Row
from data_generator.ingest.mapping_form import FieldSource
from data_generator.ingest.record import LOOKUP_MISSING, VALUE_FORM, VALUE_UNKNOWN, Problem
from data_generator.ingest.times import TimeReader, WrongTimeError

Keyed = Mapping[str, Callable[[str], str]]
Value = Callable[[Row], Any]
_SHOWN = 60
_WORDS = {"true": True, "false": False}


class WrongValueError(ValueError):
    """A value of a row cannot be used.

    Attributes:
        problem: what is wrong with it.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


class Shower:
    """Shows values of the file in messages; of columns with personal data only how long they are.

    Args:
        personal: those columns.
    """

    def __init__(self, personal: frozenset[str]) -> None:
        self._personal = personal

    def show(self, columns: Sequence[str], text: str) -> str:
        """Return a value for people."""
        if self._personal & set(columns):
            return f"a value of {len(text)} characters"
        return repr(shown(text[:_SHOWN])) + ("..." if len(text) > _SHOWN else "")


def compile_text(
    source: FieldSource, columns: Sequence[str], keyed: Keyed, lookup: Mapping[str, str] | None, shower: Shower
) -> Value:
    """Return a function of a row that gives a field's text; the empty text where there is none.

    Args:
        source: where the values come from.
        columns: what a row's values are.
        keyed: functions of expressions that need a secret.
        lookup: the values by key, where they are looked up.
        shower: shows values in messages.
    """
    if source.constant is not None:
        constant = source.constant
        return lambda _row: constant
    if source.lookup is not None and lookup is not None:
        place, named = columns.index(source.lookup.key), source.lookup.key
        is_needed = source.lookup.missing == "refuse"

        def look_up(row: Row) -> str:
            key = (row[place] or "").strip()
            found = lookup.get(key)
            if found is None and is_needed:
                what = f"{shower.show([named], key)} is not in the lookup"
                raise WrongValueError(Problem(LOOKUP_MISSING, what, named))
            return found or ""

        return look_up
    if source.expression is not None:
        compute = Expression(source.expression).compiled(columns, keyed)

        def computed(row: Row) -> str:
            try:
                found = compute(row)
            except (TypeError, ValueError) as error:
                said = str(error) if isinstance(error, ValueError) else "it joins what is no text"
                named = source.columns[0] if source.columns else None
                raise WrongValueError(Problem(VALUE_FORM, said, named)) from None
            if isinstance(found, bool):
                return "true" if found else "false"
            return str(found)

        return computed
    at = columns.index(source.column or "")
    return lambda row: row[at] or ""


def with_map(source: FieldSource, text: Value, shower: Shower) -> Value:
    """Return a function that says in our words what the file says in its own."""
    words = source.map
    if words is None:
        return text
    named, otherwise = source.columns, source.otherwise

    def mapped(row: Row) -> Any:
        said = text(row)
        found = words.get(said)
        if found is None:
            found = words.get(said.strip(), otherwise)
        if found is None:
            what = f"{shower.show(named, said)} is not in the map"
            raise WrongValueError(Problem(VALUE_UNKNOWN, what, named[0] if named else None))
        return found

    return mapped


def compile_field(field: Field, source: FieldSource, columns: Sequence[str], text: Value, shower: Shower) -> Value:
    """Return a function that gives a field's value for the event: a text, true or false, or None.

    Amounts are not made here: how they are read depends on the row's currency.
    """
    said = with_map(source, text, shower)
    named = source.columns[0] if source.columns else None
    if field.type == "boolean":

        def boolean(row: Row) -> bool | None:
            found = said(row)
            if isinstance(found, bool) or found == "":
                return None if found == "" else found
            word = _WORDS.get(found.strip().lower())
            if word is None:
                what = f"{shower.show(source.columns, found)} is neither true nor false; `map:` says what it means"
                raise WrongValueError(Problem(VALUE_UNKNOWN, what, named))
            return word

        return boolean
    if field.type == "timestamp":
        return compile_time(source, said, shower)
    if source.constant is not None:
        return said
    if source.column is not None and source.map is None:
        at = columns.index(source.column)
        return lambda row: row[at] or None
    return lambda row: said(row) or None


def compile_time(source: FieldSource, text: Value, shower: Shower) -> Value:
    """Return a function that gives a time as the contract writes it; None where there is none."""
    read = TimeReader(source.times).read
    named = source.columns[0] if source.columns else None

    def time(row: Row) -> str | None:
        said = text(row)
        if not said:
            return None
        try:
            return read(said)
        except WrongTimeError as error:
            raise WrongValueError(Problem(error.code, f"{shower.show(source.columns, said)} {error}", named)) from None

    return time
