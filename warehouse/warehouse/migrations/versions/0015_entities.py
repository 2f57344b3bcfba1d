# ruff: noqa: E501  (TABLES and BOOK are rendered: ./scripts/tieout contract migration refunds)
"""Loads, feeds and what they leave belong to an entity; silver's tables of refunds, the second one.

A load is of one entity, and so is a feed. Whatever hangs on a load or a topic has its entity from there.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# All that there was is about payments.
ENTITIES = """
alter table metadata.load_audit add column entity text not null default 'transactions';
alter table metadata.feeds add column entity text not null default 'transactions';
alter table metadata.contradicting_totals add column entity text not null default 'transactions';
alter table metadata.backfills add column entity text not null default 'transactions';
alter table metadata.retention_floor add column entity text not null default 'transactions';
alter table metadata.data_quality_days add column entity text not null default 'transactions',
    drop constraint data_quality_days_day_metric_rule_currency_key,
    add unique nulls not distinct (entity, day, metric, rule, currency);
"""

# Which lake tables, books and statuses there are is said by the contracts.
NAMES = """
alter table metadata.load_watermark drop constraint load_watermark_lake_table_check;
alter table metadata.load_statuses drop constraint load_statuses_status_check;
alter table metadata.letter_decisions drop constraint letter_decisions_book_check,
    add constraint letter_decisions_book_check check (book = 'dead_letters' or starts_with(book, 'rejected_'));
"""

# As before, and by entity: an entity without new events does not keep the loads of another one.
EXPIRE = """
create or replace function metadata.expire_dead_letters(before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare removed bigint;
begin
    perform metadata.refuse_young(before);
    with floors as (
        select topic_id, partition, max("offset") + 1 as floor from raw.dead_letters
        where arrived_at < before group by topic_id, partition
    ), gone as (
        delete from raw.dead_letters d using floors f
        where d.topic_id = f.topic_id and d.partition = f.partition and d."offset" < f.floor
        returning d.topic_id, d.partition, d.run, d."offset", d.load_id
    ), noted as (
        insert into metadata.retention_floor
            (book, before, entity, topic_id, partition, run, start_offset, end_offset, count)
        select 'DEAD_LETTERS', before, coalesce(entity, 'transactions'), topic_id, partition, run, min("offset"),
            max("offset") + 1, count(*)
        from gone left join metadata.load_audit using (load_id) group by 3, topic_id, partition, run returning count
    )
    select coalesce(sum(count), 0) into removed from noted;
    return removed;
end $$;

create or replace function metadata.expire_loads(before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    kind record;
    gone bigint;
    removed bigint := 0;
begin
    perform metadata.refuse_young(before);
    for kind in
        select entity, least(first_young, (
            select min(load_id) from (
                select distinct on (o.partition) o.load_id
                from metadata.load_offsets o
                inner join metadata.load_watermark w
                    on w.lake_table = 'raw_' || audited.entity and w.topic_id = o.topic_id
                order by o.partition, o.end_offset desc, o.load_id desc
            ) newest
        )) as first_kept
        from (
            select entity, min(load_id) filter (where status = 'RUNNING' or finished_at >= before) as first_young
            from metadata.load_audit group by entity
        ) audited order by entity
    loop
        continue when kind.first_kept is null;
        insert into metadata.retention_floor
            (book, before, entity, topic_id, partition, start_offset, end_offset, count)
        select 'LOADS', before, kind.entity, o.topic_id, o.partition, min(o.start_offset), max(o.end_offset),
            coalesce(sum(t.count), 0)
        from metadata.load_offsets o
        inner join metadata.load_audit a on a.load_id = o.load_id and a.entity = kind.entity
        left join (
            select load_id, partition, sum(case book when 'ALREADY_LOADED' then -count else count end) as count
            from metadata.load_totals where book in ('BRONZE', 'ALREADY_LOADED', 'DEAD_LETTER') group by 1, 2
        ) t on t.load_id = o.load_id and t.partition = o.partition
        where o.load_id < kind.first_kept group by o.topic_id, o.partition;
        insert into metadata.retention_floor (book, before, entity, partition, currency, count, amount)
        select 'LOADS', before, kind.entity, partition, currency, sum(count), sum(amount)
        from metadata.load_totals inner join metadata.load_audit a using (load_id)
        where book = 'BRONZE' and load_id < kind.first_kept and a.entity = kind.entity group by partition, currency;
        delete from metadata.data_quality_metrics m using metadata.load_audit a
        where a.load_id = m.load_id and a.entity = kind.entity and m.load_id < kind.first_kept;
        delete from metadata.load_totals t using metadata.load_audit a
        where a.load_id = t.load_id and a.entity = kind.entity and t.load_id < kind.first_kept;
        with deleted as (
            delete from metadata.load_offsets o using metadata.load_audit a
            where a.load_id = o.load_id and a.entity = kind.entity and o.load_id < kind.first_kept returning o.load_id
        )
        select count(distinct load_id) into gone from deleted;
        removed := removed + gone;
        delete from metadata.load_audit a where load_id < kind.first_kept and status = 'FAILED' and entity = kind.entity
            and not exists (select from metadata.lost_offsets l where l.load_id = a.load_id)
            and not exists (select from metadata.load_watermark w where w.load_id = a.load_id)
            and not exists (select from metadata.build_loads b where b.load_id = a.load_id);
    end loop;
    return removed;
end $$;

create or replace function metadata.prune_quality() returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with aged as (
        select load_id, entity, (started_at at time zone 'UTC')::date as day from metadata.load_audit
        where load_id >= (select min(load_id) from metadata.data_quality_metrics)
            and started_at < now() - interval '7 days'
        order by load_id limit 500
    ), gone as (
        delete from metadata.data_quality_metrics m using aged where m.load_id = aged.load_id
        returning aged.entity, aged.day, metric, rule, currency, rows_checked, rows_broken, amount_concerned
    )
    insert into metadata.data_quality_days as d
        (entity, day, metric, rule, currency, rows_checked, rows_broken, amount_concerned)
    select entity, day, metric, rule, currency, sum(rows_checked), sum(rows_broken), sum(amount_concerned)
    from gone group by 1, 2, 3, 4, 5
    on conflict (entity, day, metric, rule, currency) do update set
        rows_checked = d.rows_checked + excluded.rows_checked, rows_broken = d.rows_broken + excluded.rows_broken,
        amount_concerned = d.amount_concerned + excluded.amount_concerned
$$;
"""

COMMENTS = """
comment on column metadata.load_audit.entity is 'The kind of event that the load is of.';
comment on column metadata.feeds.entity is
    'The kind of event that the feed is of. Events of another kind that name it count as without a feed.';
comment on column metadata.contradicting_totals.entity is 'The kind of event that the total says it is of.';
"""

BLANKS = " || ".join(
    f"chr({point})"
    for point in (9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 133, 160, 173, 5760, 6158, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202, 8203, 8204, 8205, 8232, 8233, 8239, 8287, 8288, 12288, 65279)
)  # fmt: skip

TABLES = f"""
-- Contract 1.0.0.
create table raw.refunds (
    refund_id text not null,
    transaction_id text not null,
    amount numeric(20,4) not null,
    currency text not null,
    reason text not null,
    status text not null,
    occurred_at timestamptz not null,
    customer_id text not null,
    merchant_name text not null,
    utc_offset_minutes smallint not null,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz not null,
    known_at timestamptz not null,
    content_hash uuid not null,
    identity_hash uuid not null,
    load_id bigint not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    constraint refunds_coordinates primary key (topic_id, partition, "offset"),
    constraint refund_id_too_long check (coalesce(length(refund_id), 0) <= 64),
    constraint refund_id_blank check (case when ascii(refund_id) between 33 and 126 then true else length(trim(refund_id, {BLANKS})) > 0 end),
    constraint transaction_id_too_long check (coalesce(length(transaction_id), 0) <= 64),
    constraint transaction_id_missing check (case when ascii(transaction_id) between 33 and 126 then true else length(trim(transaction_id, {BLANKS})) > 0 end),
    constraint amount_not_positive check (amount > 0),
    constraint currency_unknown check (currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD')),
    constraint reason_unknown check (reason in ('CUSTOMER_REQUEST', 'NOT_DELIVERED', 'DAMAGED', 'DUPLICATE_CHARGE', 'FRAUD')),
    constraint status_unknown check (status in ('PENDING', 'SUCCESS', 'FAILED')),
    constraint timestamp_in_future check (occurred_at <= known_at + interval '1 day'),
    constraint timestamp_too_early check (occurred_at >= timestamptz '2000-01-01 00:00:00+00'),
    constraint customer_id_too_long check (coalesce(length(customer_id), 0) <= 64),
    constraint customer_id_missing check (case when ascii(customer_id) between 33 and 126 then true else length(trim(customer_id, {BLANKS})) > 0 end),
    constraint merchant_name_too_long check (coalesce(length(merchant_name), 0) <= 200),
    constraint merchant_name_missing check (case when ascii(merchant_name) between 33 and 126 then true else length(trim(merchant_name, {BLANKS})) > 0 end)
);
create unique index refunds_statuses on raw.refunds (refund_id, (status <> 'PENDING'));
comment on index raw.refunds_statuses is 'One PENDING row and one final row a refund at most.';
create index refunds_occurred_at on raw.refunds (occurred_at);
create index refunds_load on raw.refunds (load_id);
create unique index refunds_redrive_of on raw.refunds (topic_id, redrive_of) where redrive_of is not null;
create table raw.duplicate_refunds (
    refund_id text not null,
    status text not null,
    amount numeric(20,4) not null,
    currency text not null,
    content_hash uuid not null,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz not null,
    known_at timestamptz not null,
    load_id bigint not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    primary key (topic_id, partition, "offset")
);
create index duplicate_refunds_load on raw.duplicate_refunds (load_id);
create index duplicate_refunds_redrive_of on raw.duplicate_refunds (topic_id, redrive_of) where redrive_of is not null;
create table raw.rejected_refunds (
    refund_id text,
    transaction_id text,
    amount numeric(20,4),
    currency text,
    reason text,
    status text,
    occurred_at timestamptz,
    customer_id text,
    merchant_name text,
    utc_offset_minutes smallint,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz,
    known_at timestamptz,
    content_hash uuid,
    identity_hash uuid,
    load_id bigint not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    reasons text[] not null check (cardinality(reasons) > 0),
    conflict jsonb,
    primary key (topic_id, partition, "offset")
);
create index rejected_refunds_load on raw.rejected_refunds (load_id);
create unique index rejected_refunds_redrive_of on raw.rejected_refunds (topic_id, redrive_of, content_hash) where redrive_of is not null;
comment on table raw.refunds is
    'Silver: one row a refund and status. Only the loader adds rows, nobody changes them.';
comment on table raw.duplicate_refunds is
    'Events that came again with the same content as the row in raw.refunds.';
comment on table raw.rejected_refunds is
    'Well-formed events that break a rule of the contract, with every broken rule.';
comment on column raw.rejected_refunds.conflict is
    'For CONFLICTING_DUPLICATE, CONTRADICTING_STATUS and SETTLEMENT_MISMATCH: standing, the event that came first '
    '(book, load, feed, seq, offset), and differs, the fields with both values. Of personal fields only the length.';
grant select, insert on raw.refunds, raw.duplicate_refunds, raw.rejected_refunds to loader;
grant select on raw.refunds, raw.duplicate_refunds, raw.rejected_refunds to dbt;
grant select (refund_id, status, content_hash, identity_hash, topic_id, redrive_of) on raw.refunds to redrive;
grant select (content_hash, topic_id, redrive_of) on raw.rejected_refunds to redrive;
"""

BOOK = """
create or replace view metadata.dead_letter_book as
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
    union all
    select 'rejected_transactions', topic_id, partition, "offset", run, seq, reasons, known_at,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then currency end,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then amount end,
        null::bigint, redrive_of, load_id, conflict
    from raw.rejected_transactions
    union all
    select 'rejected_refunds', topic_id, partition, "offset", run, seq, reasons, known_at,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then currency end,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then amount end,
        null::bigint, redrive_of, load_id, conflict
    from raw.rejected_refunds
) l
left join metadata.letter_decisions d
    on (d.topic_id, d.partition, d."offset") = (l.topic_id, l.partition, l."offset")
left join metadata.redrive_feeds f on f.run = d.run
left join lateral (
    select 1 as place, 'transactions' as book, t.partition, t."offset" from raw.transactions t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 1 as place, 'refunds' as book, t.partition, t."offset" from raw.refunds t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 2 as place, 'rejected_transactions' as book, t.partition, t."offset" from raw.rejected_transactions t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 2 as place, 'rejected_refunds' as book, t.partition, t."offset" from raw.rejected_refunds t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 3 as place, 'dead_letters' as book, t.partition, t."offset" from raw.dead_letters t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 4 as place, 'duplicates' as book, t.partition, t."offset" from raw.duplicates t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    union all
    select 4 as place, 'duplicate_refunds' as book, t.partition, t."offset" from raw.duplicate_refunds t
    where t.topic_id = f.topic_id and t.redrive_of = d.redrive_of and t.run = d.run and t.seq = d.seq
    order by place, "offset" limit 1
) s on true;
"""


def upgrade() -> None:
    for statements in (ENTITIES, NAMES, EXPIRE, COMMENTS, TABLES, BOOK):
        op.get_bind().exec_driver_sql(statements)
