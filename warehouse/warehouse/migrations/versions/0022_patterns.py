"""Patterns in chunks: what was seen, what was detected, and which file of detections holds what.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# A chunk's payments, its detections and the chunk itself come in one transaction: it counts once or not at all.
SEEN = """
create schema patterns;
create table patterns.watches (
    watch_id integer primary key generated always as identity,
    name text not null unique,
    source text not null,
    detections text not null,
    rules jsonb not null,
    weights_sha256 text not null,
    weights_refused bigint not null,
    y_started_at timestamptz not null,
    ended_at timestamptz
);
create table patterns.chunks (
    watch_id integer not null references patterns.watches on delete cascade,
    number integer not null,
    name text not null,
    version text not null,
    size bigint not null,
    sha256 text not null,
    first_row bigint not null,
    rows bigint not null,
    refused bigint not null,
    is_last boolean not null,
    seen_at timestamptz not null,
    applied_at timestamptz not null,
    primary key (watch_id, number)
);
create table patterns.payments (
    watch_id integer not null references patterns.watches on delete cascade,
    chunk integer not null,
    "row" bigint not null,
    step integer,
    customer text not null,
    gender text not null,
    merchant text not null,
    category text not null,
    amount numeric(18,4) not null
);
create table patterns.refused_rows (
    watch_id integer not null references patterns.watches on delete cascade,
    chunk integer not null,
    "row" bigint not null,
    reasons text[] not null,
    primary key (watch_id, "row")
);
create table patterns.weights (
    watch_id integer not null references patterns.watches on delete cascade,
    customer text not null,
    merchant text not null,
    numerator numeric not null,
    denominator numeric not null check (denominator > 0),
    primary key (watch_id, customer, merchant)
);
"""

FOUND = """
create table patterns.detections (
    watch_id integer not null references patterns.watches on delete cascade,
    sequence integer not null,
    detection_id text not null unique,
    pattern text not null,
    action text not null,
    merchant text not null,
    customer text not null,
    chunk integer not null,
    detected_at timestamptz not null,
    evidence jsonb not null,
    primary key (watch_id, sequence),
    unique (watch_id, pattern, merchant, customer)
);
create table patterns.detection_changes (
    watch_id integer not null,
    sequence integer not null,
    chunk integer not null,
    holds boolean not null,
    primary key (watch_id, sequence, chunk),
    foreign key (watch_id, sequence) references patterns.detections on delete cascade
);
create table patterns.detection_files (
    watch_id integer not null references patterns.watches on delete cascade,
    file_number integer not null,
    first_sequence integer not null,
    last_sequence integer not null check (last_sequence >= first_sequence),
    name text not null,
    fixed_at timestamptz not null default clock_timestamp(),
    put_at timestamptz,
    primary key (watch_id, file_number),
    unique (watch_id, first_sequence)
);
create table patterns.findings (
    watch_id integer not null references patterns.watches on delete cascade,
    kind text not null,
    subject text not null,
    chunk integer,
    says text not null,
    found_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz,
    primary key (watch_id, kind, subject)
);
"""

VIEWS = """
create view patterns.detections_now as
select w.name as watch, d.*, coalesce(c.holds, true) as holds, c.chunk as changed_in_chunk
from patterns.detections d
join patterns.watches w using (watch_id)
left join lateral (
    select holds, chunk from patterns.detection_changes c
    where (c.watch_id, c.sequence) = (d.watch_id, d.sequence) order by chunk desc limit 1
) c on true;
create view patterns.processed_transactions as
select w.name as watch, p.chunk, p."row" as transaction, p.step, p.customer, p.gender, p.merchant, p.category, p.amount
from patterns.payments p join patterns.watches w using (watch_id);
create view patterns.customer_stats as
select w.name as watch, p.merchant, p.customer, count(*) as transactions, sum(p.amount) as amount,
    round(avg(p.amount), 4) as mean_amount, bool_or(p.gender = 'F') as is_female, bool_or(p.gender = 'M') as is_male,
    max(p.chunk) as last_chunk
from patterns.payments p join patterns.watches w using (watch_id)
group by w.name, p.merchant, p.customer;
create view patterns.customers_without_weight as
select w.name as watch, p.merchant, p.customer, count(*) as transactions
from patterns.payments p join patterns.watches w using (watch_id)
where not exists (
    select from patterns.weights x
    where x.watch_id = p.watch_id and x.customer = p.customer and x.merchant in ('', p.merchant)
)
group by w.name, p.merchant, p.customer;
"""

COMMENTS = """
comment on schema patterns is 'Chunks that `tieout patterns` has read, and the patterns that it found in them.';
comment on table patterns.watches is
    'One row a name: which chunks by which rules and weights. y_started_at: when it was begun first. '
    'ended_at: the input is read to its end, and every file of detections is written.';
comment on table patterns.chunks is
    'Each chunk that counts, in the order of its numbers. version: as the store lists it. seen_at: first listed.';
comment on table patterns.payments is
    'The rows of these chunks; row: its number in the whole input, from 0. All that patterns judge comes from here.';
comment on table patterns.refused_rows is 'Rows that could not be read, with all reasons. Chunk and row find the text.';
comment on table patterns.weights is
    'Exact weights: numerator / denominator. merchant is empty where a weight is the customer''s with all merchants.';
comment on table patterns.detections is
    'A pattern that became true, once for each customer and merchant. customer is empty where it is the merchant''s. '
    'evidence: counts and thresholds as of the chunk, exact numbers as text.';
comment on table patterns.detection_changes is 'When a detection stopped being true, and when it was true again.';
comment on table patterns.detection_files is
    'Which detections each file holds; fixed before the file is written. put_at: it is there.';
comment on table patterns.findings is
    'Gaps, chunks that cannot be read, are there twice or were replaced, and what is wrong with the weights. '
    'settled_at: it is so no longer.';
comment on view patterns.detections_now is 'Detections, and whether each is still true.';
comment on view patterns.processed_transactions is 'Every row that counts.';
comment on view patterns.customer_stats is 'Each customer with each merchant, over everything seen so far.';
comment on view patterns.customers_without_weight is 'Customers that PatId1 cannot judge.';
"""

GRANTS = """
grant usage on schema patterns to patterns, reader;
grant select, insert, update, delete on all tables in schema patterns to patterns;
grant select on all tables in schema patterns to reader;
alter default privileges in schema patterns grant select on tables to reader;
"""


def upgrade() -> None:
    for statements in (SEEN, FOUND, VIEWS, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
