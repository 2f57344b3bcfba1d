# ruff: noqa: S608  (column names come from the contract)
"""What a rejected event disagrees with: the event that came first, and the fields that differ, with both values.

The column conflict of the rejected events holds two entries:

- standing: book, load_id, run, seq, topic_id, partition and offset of the event that came first;
- differs: a list of field, standing and rejected. Values are texts; a field that is not internal by the contract has
  only its length there.
"""

from collections.abc import Mapping
from typing import Any

from contracts.model import Entity, Field
from core.text import shown
from warehouse.columns import book_name, quoted

# The event of a key that a rejected one disagrees with: the one of the same status, or for a settlement the
# first that was loaded. What a load took is in the table by then.
_OF_KEY = """
select {columns}, load_id, '{silver_book}' as book from {silver} o where o.{key} = s.{key}
order by v.verdict <> 'SETTLEMENT_MISMATCH' and (o.status <> '{first}') <> (s.status <> '{first}'), load_id,
    o.status <> '{first}'
limit 1
"""
_OF_REDRIVE = """
select {columns}, load_id, '{silver_book}' as book from {silver} o
where o.topic_id = s.topic_id and o.redrive_of = s.redrive_of
union all
select {columns}, load_id, '{rejected_book}' from {rejected} o
where o.topic_id = s.topic_id and o.redrive_of = s.redrive_of
order by load_id, known_at, "partition", "offset" limit 1
"""


def standing_sql(entity: Entity, columns: tuple[str, ...], *, of_redrive: bool) -> str:
    """Return the query of the row that a rejected event of stage s, with verdict v, disagrees with."""
    return (_OF_REDRIVE if of_redrive else _OF_KEY).format(
        columns=quoted(columns),
        key=entity.key,
        first=entity.statuses.first,
        silver=entity.silver,
        silver_book=book_name(entity.silver),
        rejected=entity.rejected,
        rejected_book=book_name(entity.rejected),
    )


def conflict_sql(entity: Entity) -> str:
    """Return the expression of the column conflict, of a rejected event s with verdict v and the standing row t."""
    values = ", ".join(
        f"({n}, '{field.name}', {_text(field, 't')}, {_came(field)}, {field.personal == 'internal'}, "
        f"{field.name in entity.statuses.fields})"
        for n, field in enumerate(entity.fields)
    )
    return f"""
        case when t.load_id is not null then jsonb_build_object(
            'standing', jsonb_build_object('book', t.book, 'load_id', t.load_id, 'run', t.run, 'seq', t.seq,
                'topic_id', t.topic_id, 'partition', t."partition", 'offset', t."offset"),
            'differs', (
                select coalesce(jsonb_agg(jsonb_build_object('field', d.field,
                    'standing', {_masked("d.standing")}, 'rejected', {_masked("d.rejected")}) order by d.n), '[]')
                from (values {values}) d (n, field, standing, rejected, is_open, is_of_status)
                where d.standing is distinct from d.rejected
                    and not (d.is_of_status and v.verdict = 'SETTLEMENT_MISMATCH')
            )
        ) end"""


def _came(field: Field) -> str:
    """Return the rejected value as text; the same instant in another zone is no difference."""
    if field.type != "timestamp":
        return _text(field, "s")
    column = f'"{field.stored_as}"'
    return f"case when t.{column} = s.{column} then {_text(field, 't')} else {_text(field, 's')} end"


def _text(field: Field, row: str) -> str:
    column = f'{row}."{field.stored_as}"'
    if field.type == "decimal":
        return f"trim_scale({column})::text"
    if field.type == "timestamp":
        minutes = f"{row}.utc_offset_minutes"
        local = f"({column} at time zone 'UTC') + make_interval(mins => {minutes})"
        zone = f"to_char(make_interval(mins => abs({minutes})), 'HH24:MI')"
        sign = f"case when {minutes} < 0 then '-' else '+' end"
        return f"to_char({local}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || {sign} || {zone}"
    return f"{column}::text"


def _masked(text: str) -> str:
    return (
        f"case when d.is_open or coalesce({text}, '') = '' then {text} "
        f"else '(masked, ' || length({text}) || ' characters)' end"
    )


def differs_text(conflict: Mapping[str, Any]) -> str:
    """Return the fields that differ as a person reads them: `city "Pune" stands, "Pune<U+0020>" came`."""
    found = conflict["differs"]
    return "; ".join(f"{d['field']} {_said(d['standing'])} stands, {_said(d['rejected'])} came" for d in found)


def _said(value: str | None) -> str:
    if value is None:
        return "null"
    return value if value.startswith("(masked, ") else f'"{shown(value)}"'
