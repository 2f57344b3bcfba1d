"""Offsets that no event has: what a load passed, and what the auditor has found them to be.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = """
create table metadata.missing_offsets (
    load_id bigint not null references metadata.load_audit,
    topic_id text not null,
    partition integer not null,
    offsets int8multirange not null check (not isempty(offsets)),
    primary key (load_id, topic_id, partition)
);
create table metadata.explained_offsets (
    load_id bigint not null,
    topic_id text not null,
    partition integer not null,
    markers int8multirange not null,
    aborted int8multirange not null,
    first_offset bigint not null,
    explained_at timestamptz not null default clock_timestamp(),
    foreign key (load_id, topic_id, partition) references metadata.missing_offsets,
    constraint explains_something check (not isempty(markers + aborted)),
    constraint one_meaning check (not markers && aborted),
    constraint still_there check (lower(markers + aborted) >= first_offset)
);
create index explained_offsets_load on metadata.explained_offsets (load_id, topic_id, partition);

create function metadata.count_offsets(spans int8multirange) returns bigint
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as
'select coalesce(sum(upper(each) - lower(each)), 0)::bigint from unnest(spans) as each';

create view metadata.offsets_without_event as
select m.load_id, m.topic_id, m.partition, m.offsets, m.offsets * e.markers as markers,
    m.offsets * e.aborted - e.markers as aborted
from metadata.missing_offsets m
cross join lateral (
    select coalesce(range_agg(markers), '{}') as markers, coalesce(range_agg(aborted), '{}') as aborted
    from metadata.explained_offsets e
    where (e.load_id, e.topic_id, e.partition) = (m.load_id, m.topic_id, m.partition)
) e;
"""

COMMENTS = """
comment on table metadata.missing_offsets is
    'Offsets of a load that are neither event nor dead letter nor accepted loss. The loader adds rows.';
comment on table metadata.explained_offsets is
    'What the auditor found when it read missing offsets again, committed and uncommitted. It stays true when Kafka '
    'forgets them. first_offset: the oldest that Kafka then had of the partition.';
comment on view metadata.offsets_without_event is
    'Missing offsets, and which of them are markers of transactions, or records of aborted ones.';
"""

GRANTS = """
grant insert on metadata.missing_offsets to loader;
grant insert on metadata.explained_offsets to dbt;
"""


def upgrade() -> None:
    for statements in (TABLES, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
