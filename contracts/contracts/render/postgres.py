# ruff: noqa: S608  (names come from the contracts)
"""The contract for PostgreSQL: an entity's tables in silver with their checks, indexes, comments and grants."""

from contracts.model import Entity, Field, Rule
from contracts.render.jsonschema import required_fields

COORDINATES = ("topic_id text not null", "partition integer not null", '"offset" bigint not null')
_SENT = ("run text", "seq bigint", "redrive_of text")
_JUDGED = ("status_at timestamptz", "known_at timestamptz", "content_hash uuid", "identity_hash uuid")
_NO_REASON = "reasons text[] not null check (cardinality(reasons) > 0)"


def column(field: Field, entity: Entity) -> str:
    """Return the definition of a field's column in the entity's table of valid events."""
    return f"{field.stored_as} {field.postgres_type}{' not null' if is_needed(field, entity) else ''}"


def is_needed(field: Field, entity: Entity) -> bool:
    """Say whether every valid event has a value for a field."""
    return field.structural or field.name in required_fields(entity)


def checks(entity: Entity) -> list[Rule]:
    """Return the rules that hold for every valid event, whatever came before it."""
    return [rule for rule in entity.rules if rule.sql and rule.kind == "invalid"]


def render(entity: Entity) -> str:
    """Return the entity's tables in silver as DDL.

    The migrations hold their own frozen text; a test compares the migrated tables with these.
    """
    parts = (_silver(entity), _duplicates(entity), _rejected(entity), _comments(entity), _grants(entity))
    return f"-- Contract {entity.version}.\n{''.join(parts)}"


def render_book(entities: tuple[Entity, ...]) -> str:
    """Return the view metadata.dead_letter_book over all entities' tables."""
    platform = entities[0].platform
    known = f"currency in ({', '.join(repr(currency) for currency in platform.currencies)})"
    rejected = "\n".join(
        f"""    union all
    select '{_short(entity.rejected)}', topic_id, partition, "offset", run, seq, reasons, known_at,
        case when {known} then currency end,
        case when {known} then amount end,
        null::bigint, redrive_of, load_id, conflict
    from {entity.rejected}"""
        for entity in entities
    )
    places = [(3, "raw.dead_letters")]
    for entity in entities:
        places += [(1, entity.silver), (2, entity.rejected), (4, entity.duplicates)]
    successors = "\n    union all\n".join(
        f"    select {place} as place, '{_short(table)}' as book, t.partition, t.\"offset\" from {table} t\n"
        "    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq"
        for place, table in sorted(places, key=lambda each: each[0])
    )
    return _BOOK.format(rejected=rejected, successors=successors)


_BOOK = """create or replace view metadata.dead_letter_book as
select l.book, l.topic_id, l.partition, l."offset", l.run as source, l.seq, l.reasons, l.arrived_at,
    (l.arrived_at at time zone 'UTC')::date as arrived_on, now() - l.arrived_at as age, l.currency, l.amount,
    l.value_bytes, l.redrive_of, coalesce(d.decision, 'OPEN') as state, d.decided_at,
    d.decision = 'REDRIVEN' and d.confirmed_at is null as is_unconfirmed, d.run as redriven_run, d.seq as redriven_seq,
    s.book as successor_book, s.partition as successor_partition, s."offset" as successor_offset, l.load_id, l.conflict,
    coalesce((select a.entity from metadata.load_audit a where a.load_id = l.load_id), 'transactions') as entity
from (
    select 'dead_letters' as book, topic_id, partition, "offset", run, seq, reasons, arrived_at,
        currency_hint as currency, amount_hint as amount, value_bytes, redrive_of, load_id, null::jsonb as conflict
    from raw.dead_letters
{rejected}
) l
left join metadata.letter_decisions d
    on (d.topic_id, d.partition, d."offset") = (l.topic_id, l.partition, l."offset")
left join metadata.redrive_feeds f on f.run = d.run
left join lateral (
{successors}
    order by place, "offset" limit 1
) s on true;
"""


def _short(table: str) -> str:
    return table.removeprefix("raw.")


def _table(name: str, lines: tuple[str, ...]) -> str:
    body = ",\n    ".join(lines)
    return f"create table {name} (\n    {body}\n);\n"


def _indexes(table: str, redriven: str, more: str = "") -> str:
    name = _short(table)
    return f"""{more}create index {name}_load on {table} (load_id);
create {redriven.format(name=f"{name}_redrive_of", table=table)} where redrive_of is not null;
"""


def _silver(entity: Entity) -> str:
    name, table = entity.name, entity.silver
    columns = [column(field, entity) for field in entity.fields]
    judged = tuple(f"{each} not null" for each in _JUDGED)
    named = [
        f"constraint {rule.code.lower()} check ({rule.sql.replace('arrived_at', 'known_at')})"
        for rule in checks(entity)
        if rule.sql
    ]
    key = f'constraint {name}_coordinates primary key (topic_id, partition, "offset")'
    delivered = ("utc_offset_minutes smallint not null", *_SENT, *judged, "load_id bigint not null", *COORDINATES)
    of_key = f"({entity.key}, (status <> '{entity.statuses.first}'))"
    at_most = f"One {entity.statuses.first} row and one final row a {entity.singular} at most."
    statuses = f"""create unique index {name}_statuses on {table} {of_key};
comment on index raw.{name}_statuses is '{at_most}';
create index {name}_occurred_at on {table} (occurred_at);
"""
    statuses += "".join(f"create index {name}_{each} on {table} ({each});\n" for each in entity.indexes)
    return _table(table, (*columns, *delivered, key, *named)) + _indexes(
        table, "unique index {name} on {table} (topic_id, redrive_of)", statuses
    )


def _duplicates(entity: Entity) -> str:
    fields = (f"{entity.key} text", "status text", "amount numeric(20,4)", "currency text", "content_hash uuid")
    when = ("status_at timestamptz not null", "known_at timestamptz not null", "load_id bigint not null")
    lines = (*(f"{each} not null" for each in fields), *_SENT, *when, *COORDINATES)
    return _table(entity.duplicates, (*lines, 'primary key (topic_id, partition, "offset")')) + _indexes(
        entity.duplicates, "index {name} on {table} (topic_id, redrive_of)"
    )


def _rejected(entity: Entity) -> str:
    fields = (f"{field.stored_as} {field.postgres_type}" for field in entity.fields)
    delivered = ("utc_offset_minutes smallint", *_SENT, *_JUDGED, "load_id bigint not null", *COORDINATES)
    key = 'primary key (topic_id, partition, "offset")'
    return _table(entity.rejected, (*fields, *delivered, _NO_REASON, "conflict jsonb", key)) + _indexes(
        entity.rejected, "unique index {name} on {table} (topic_id, redrive_of, content_hash)"
    )


def _comments(entity: Entity) -> str:
    return f"""comment on table {entity.silver} is
    'Silver: one row a {entity.singular} and status. Only the loader adds rows, nobody changes them.';
comment on table {entity.duplicates} is
    'Events that came again with the same content as the row in {entity.silver}.';
comment on table {entity.rejected} is
    'Well-formed events that break a rule of the contract, with every broken rule.';
comment on column {entity.rejected}.conflict is
    'For CONFLICTING_DUPLICATE, CONTRADICTING_STATUS and SETTLEMENT_MISMATCH: standing, the event that came first '
    '(book, load, feed, seq, offset), and differs, the fields with both values. Of personal fields only the length.';
"""


def _grants(entity: Entity) -> str:
    tables = f"{entity.silver}, {entity.duplicates}, {entity.rejected}"
    seen = f"{entity.key}, status, content_hash, identity_hash, topic_id, redrive_of"
    return f"""grant select, insert on {tables} to loader;
grant select on {tables} to dbt;
grant select ({seen}) on {entity.silver} to redrive;
grant select (content_hash, topic_id, redrive_of) on {entity.rejected} to redrive;
grant select (run, {entity.key}, {entity.amount}, {entity.currency}) on {entity.silver}, {entity.rejected} to ingest;
"""
