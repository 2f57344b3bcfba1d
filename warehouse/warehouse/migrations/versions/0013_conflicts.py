"""What a rejected event disagrees with, what redrive asks before it promises, and rejected lines of statements.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

CONFLICT = """
alter table raw.rejected_transactions add column conflict jsonb;
comment on column raw.rejected_transactions.conflict is
    'For CONFLICTING_DUPLICATE, CONTRADICTING_STATUS and SETTLEMENT_MISMATCH: standing, the event that came first '
    '(book, load, feed, seq, offset), and differs, the fields with both values. Of personal fields only the length.';
"""

# The same view with two columns more at its end.
BOOK = """
create or replace view metadata.dead_letter_book as
select l.book, l.topic_id, l.partition, l."offset", l.run as source, l.seq, l.reasons, l.arrived_at,
    (l.arrived_at at time zone 'UTC')::date as arrived_on, now() - l.arrived_at as age, l.currency, l.amount,
    l.value_bytes, l.redrive_of, coalesce(d.decision, 'OPEN') as state, d.decided_at,
    d.decision = 'REDRIVEN' and d.confirmed_at is null as is_unconfirmed, d.run as redriven_run, d.seq as redriven_seq,
    s.book as successor_book, s.partition as successor_partition, s."offset" as successor_offset, l.load_id, l.conflict
from (
    select 'dead_letters' as book, topic_id, partition, "offset", run, seq, reasons, arrived_at,
        currency_hint as currency, amount_hint as amount, value_bytes, redrive_of, load_id, null::jsonb as conflict
    from raw.dead_letters
    union all
    select 'rejected_transactions', topic_id, partition, "offset", run, seq, reasons, known_at,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then currency end,
        case when currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD') then amount end, null::bigint, redrive_of,
        load_id, conflict
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

# A dry run judges letters as the loader will, in temporary tables of its own session. Hashes are enough for that: the
# role still sees no field of a payment.
GRANTS = """
grant select (transaction_id, status, content_hash, identity_hash, topic_id, redrive_of) on raw.transactions to redrive;
grant select (content_hash, topic_id, redrive_of) on raw.rejected_transactions to redrive;
"""
TEMPORARY = """
do $$ begin
    execute format('grant temporary on database %%I to redrive', current_database());
end $$
"""

_KINDS = """check (kind in ('MATCHED', 'MISSING_WITH_US', 'MISSING_WITH_THEM', 'AMOUNT_DIFFERS', 'STATUS_DIFFERS',
    'DATE_DIFFERS', 'DUPLICATE_IN_FILE', 'GOLD_DIFFERS', 'REJECTED_WITH_US'))"""
STATEMENTS = f"""
alter table metadata.reconciliation_totals drop constraint reconciliation_totals_kind_check,
    add constraint reconciliation_totals_kind_check {_KINDS};
alter table metadata.reconciliation_differences drop constraint reconciliation_differences_kind_check,
    add constraint reconciliation_differences_kind_check {_KINDS},
    add column reasons text;
comment on column metadata.reconciliation_differences.reasons is
    'The rules that the payment broke, with commas between; null where it was not rejected.';
"""


def upgrade() -> None:
    for statements in (CONFLICT, BOOK, GRANTS, TEMPORARY, STATEMENTS):
        op.get_bind().exec_driver_sql(statements)
