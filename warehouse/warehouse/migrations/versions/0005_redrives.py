"""Dead letters and rejected rows that were redriven or written off.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# A hint is what the bytes seem to say: exact where there is exactly one amount and one known currency, else nothing.
HINTS = """
alter table raw.dead_letters
    add column amount_hint numeric(20,4),
    add column currency_hint text,
    add constraint hint_is_whole check ((amount_hint is null) = (currency_hint is null));
"""

# The same redrive may arrive twice, when it was killed between sending and writing down that it had sent.
ONCE = """
create unique index transactions_redrive_of on raw.transactions (topic_id, redrive_of) where redrive_of is not null;
create unique index rejected_transactions_redrive_of
    on raw.rejected_transactions (topic_id, redrive_of, content_hash) where redrive_of is not null;
create index duplicates_redrive_of on raw.duplicates (topic_id, redrive_of) where redrive_of is not null;
create index dead_letters_redrive_of on raw.dead_letters (topic_id, redrive_of) where redrive_of is not null;
"""

DECISIONS = """
create table metadata.redrive_feeds (
    run text primary key,
    topic_id text not null,
    selection text not null,
    asked_by text not null,
    opened_at timestamptz not null default clock_timestamp(),
    closed_at timestamptz
);
create index redrive_feeds_open on metadata.redrive_feeds (opened_at) where closed_at is null;
create table metadata.letter_decisions (
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    book text not null check (book in ('dead_letters', 'rejected_transactions')),
    decision text not null check (decision in ('REDRIVEN', 'WRITTEN_OFF')),
    decided_at timestamptz not null default clock_timestamp(),
    reason text,
    name text,
    redrive_id uuid unique,
    redrive_of text,
    run text references metadata.redrive_feeds,
    seq bigint,
    is_changed boolean,
    expected text[],
    currency text,
    amount numeric(20,4),
    confirmed_at timestamptz,
    new_partition integer,
    new_offset bigint,
    primary key (topic_id, partition, "offset"),
    unique (run, seq),
    constraint write_off_has_reason_and_name check (decision <> 'WRITTEN_OFF' or coalesce(
        length(trim(reason)) > 0 and length(trim(name)) > 0 and redrive_id is null, false)),
    constraint redrive_is_identified check (decision <> 'REDRIVEN' or coalesce(
        redrive_id is not null and redrive_of is not null and run is not null and seq > 0
        and is_changed is not null and expected is not null, false)),
    constraint confirmed_with_offset check ((confirmed_at is null) = (new_offset is null))
);
create index letter_decisions_unconfirmed on metadata.letter_decisions (run, seq)
    where decision = 'REDRIVEN' and confirmed_at is null;
create table raw.redrive_payloads (
    redrive_id uuid primary key references metadata.letter_decisions (redrive_id),
    message_key bytea,
    value bytea,
    status_at text not null,
    contract_version text not null
);
create table metadata.unmask_log (
    at timestamptz not null default clock_timestamp(),
    asked_by text not null,
    command text not null check (command in ('show', 'export')),
    book text not null,
    selection text not null,
    letters bigint not null
);
"""

BOOK = """
create view metadata.dead_letter_book as
select l.book, l.topic_id, l.partition, l."offset", l.run as source, l.seq, l.reasons, l.arrived_at,
    (l.arrived_at at time zone 'UTC')::date as arrived_on, now() - l.arrived_at as age, l.currency, l.amount,
    l.value_bytes, l.redrive_of, coalesce(d.decision, 'OPEN') as state, d.decided_at,
    d.decision = 'REDRIVEN' and d.confirmed_at is null as is_unconfirmed, d.run as redriven_run, d.seq as redriven_seq,
    s.book as successor_book, s.partition as successor_partition, s."offset" as successor_offset
from (
    select 'dead_letters' as book, topic_id, partition, "offset", run, seq, reasons, arrived_at,
        currency_hint as currency, amount_hint as amount, value_bytes, redrive_of
    from raw.dead_letters
    union all
    select 'rejected_transactions', topic_id, partition, "offset", run, seq, reasons, known_at,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then currency end,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then amount end, null::bigint, redrive_of
    from raw.rejected_transactions
) l
left join metadata.letter_decisions d
    on (d.topic_id, d.partition, d."offset") = (l.topic_id, l.partition, l."offset")
left join metadata.redrive_feeds f on f.run = d.run
left join lateral (
    select 1 as place, 'transactions' as book, t.partition, t."offset" from raw.transactions t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 2, 'rejected_transactions', t.partition, t."offset" from raw.rejected_transactions t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 3, 'dead_letters', t.partition, t."offset" from raw.dead_letters t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 4, 'duplicates', t.partition, t."offset" from raw.duplicates t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    order by place, "offset" limit 1
) s on true;
"""

COMMENTS = """
comment on table metadata.redrive_feeds is
    'One row a redrive: the feed that its events were sent as. Not closed: killed, and finished by the next redrive.';
comment on table metadata.letter_decisions is
    'What became of a dead letter or rejected row, once and for all: REDRIVEN (an intent until confirmed_at) or '
    'WRITTEN_OFF with reason and name. expected: what the strict parser says is malformed in what was sent.';
comment on table raw.redrive_payloads is
    'The bytes of redrives that are not confirmed yet: personal data, for the role redrive alone, gone when confirmed.';
comment on table metadata.unmask_log is 'Who looked at the unmasked bytes of which letters, or wrote them to a file.';
comment on view metadata.dead_letter_book is
    'Dead letters and rejected rows as money: amount (best effort; NULL: unknown), reasons, day, state, age, and the '
    'event that a redrive became. No personal data.';
"""

# Role redrive reads the books of letters and writes decisions; it cannot touch silver, nor take a decision back.
GRANTS = """
grant usage on schema raw, metadata to redrive;
grant select on metadata.dead_letter_book, metadata.letter_decisions, metadata.redrive_feeds,
    metadata.load_watermark to redrive;
grant insert on metadata.letter_decisions, metadata.redrive_feeds, metadata.unmask_log to redrive;
grant update (confirmed_at, new_partition, new_offset) on metadata.letter_decisions to redrive;
grant update (closed_at) on metadata.redrive_feeds to redrive;
revoke all on raw.redrive_payloads from dbt;
grant select, insert, delete on raw.redrive_payloads to redrive;
"""


def upgrade() -> None:
    for statements in (HINTS, ONCE, DECISIONS, BOOK, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
