# ruff: noqa: S608  (the parts are our own)
"""The SQL of the Books page: metadata, and one summary of the marts."""

# Whose books a line is about is a column of its own; events without a feed are (none) of whichever entity.
_SCOPE = """\
coalesce(scope ->> 'entity', 'transactions') as entity,
    (
        scope - 'entity' || case when scope ->> 'feed' like '(none %%)' then '{"feed": "(none)"}'::jsonb else '{}' end
    )::text as scope\
"""

PROOF = f"""\
select equation, coalesce(currency, '') as currency, {_SCOPE}, left_count, left_amount::text as left_amount,
    right_count, right_amount::text as right_amount, left_count - right_count as difference_count,
    (left_amount - right_amount)::text as difference_amount, verdict, checked_at
from metadata.proof where proof_id = (select proof_id from metadata.proof order by checked_at desc limit 1)
order by array_position(array['DIFFERENT', 'OPEN', 'UNATTESTED', 'VOID', 'OK'], verdict),
    coalesce(scope ->> 'entity', ''), equation, currency, scope
limit 1000
"""

DIFFERENCES = f"""\
select checked_at, equation, coalesce(currency, '') as currency, {_SCOPE},
    left_count - right_count as difference_count, (left_amount - right_amount)::text as difference_amount
from metadata.proof where verdict = 'DIFFERENT' order by checked_at desc, equation limit 200
"""
PROOFS = """\
select count(distinct proof_id) as proofs, min(checked_at) as since from metadata.proof
"""

LOADS = """\
select load_id, entity, status, path, started_at, seconds, rows_read, rows_loaded, duplicates, rejected, already_loaded,
    dead_letters, run_id, error_code
from metadata.load_audit order by load_id desc limit 200
"""

# The rules that were broken most, of the newest loads.
QUALITY = """\
with newest as (
    select load_id, entity, finished_at from metadata.load_audit
    where status = 'SUCCESS' order by load_id desc limit 200
),
broken as (
    select m.load_id, n.finished_at as at,
        case n.entity when 'transactions' then '' else n.entity || ' ' end || m.metric || ' ' || m.rule as rule,
        sum(m.rows_broken)::bigint as rows_broken,
        sum(m.rows_checked)::bigint as rows_checked
    from metadata.data_quality_metrics m join newest n using (load_id)
    group by 1, 2, 3
),
ranked as (
    select rule from broken group by rule having sum(rows_broken) > 0 order by sum(rows_broken) desc limit 8
)
select at, load_id, rule, rows_broken, rows_checked from broken join ranked using (rule) order by at, rule
"""

LETTERS = """\
select book, entity, reason, state, coalesce(currency, '') as currency, count(*)::bigint as letters,
    sum(amount)::text as amount, min(arrived_at) as oldest, extract(epoch from now() - min(arrived_at))::bigint as age
from metadata.dead_letter_book cross join unnest(reasons) as reason
where state = 'OPEN'
group by book, entity, reason, state, currency
order by book, entity = 'transactions' desc, entity, letters desc, reason, currency
"""
DECIDED = """\
select decision, book, count(*)::bigint as letters, max(decided_at) as newest
from metadata.letter_decisions group by decision, book order by 1, 2
"""

# For a warehouse that has no view of the letters yet.
LETTERS_COUNTED = """\
select rule as reason, sum(rows_broken)::bigint as letters from metadata.data_quality_metrics
where metric = 'DEAD_LETTERS' and rows_broken > 0 group by rule order by letters desc, rule
"""

PENDING = """\
with newest as (select max(occurred_on) as day from marts.daily_revenue_totals)
select currency, occurred_on, sum(pending_count)::bigint as payments, sum(pending_amount)::text as amount,
    newest.day - occurred_on as days
from marts.daily_revenue_totals cross join newest
where pending_count > 0 and occurred_on < newest.day - %(window)s::int
group by currency, occurred_on, newest.day order by occurred_on, currency limit 500
"""
WINDOW_DAYS = 3

# Hop, what its newest trace is, and the command that looks closer. Each is asked on its own, so that one missing table
# is one missing line. The reader does not see the lake: that events reached it is what a load has found there.
HOPS = (
    (
        "gateway's control totals",
        # When a load took them: what a total says of its own time is a claim.
        "select max(finished_at) as at from metadata.load_audit where load_id in"
        " (select load_id from metadata.control_totals where left(run, 8) <> 'redrive-')",
        "./scripts/tieout logs producer",
    ),
    ("Kafka to live", "select max(moved_at) as at from live.positions", "./scripts/tieout logs live"),
    (
        "Kafka to lake",
        "select max(finished_at) as at from metadata.load_audit"
        " where status = 'SUCCESS' and rows_read + dead_letters_read > 0",
        "./scripts/tieout logs stream",
    ),
    (
        "lake to silver",
        "select max(finished_at) as at from metadata.load_audit where status = 'SUCCESS'",
        "./scripts/tieout load",
    ),
    (
        "silver to marts",
        "select max(finished_at) as at from metadata.builds where status = 'SUCCESS'",
        "./scripts/tieout build",
    ),
    ("proof", "select max(checked_at) as at from metadata.proof", "./scripts/tieout proof"),
    (
        "outside statement",
        "select max(checked_at) as at from metadata.reconciliation_runs",
        "./scripts/tieout reconcile FILE",
    ),
)
# Asked for by a person, not by the clock: never stale.
WHEN_ASKED = ("outside statement",)
DELAY = """\
select finished_at as at, events, delay_p50_seconds, delay_p95_seconds from metadata.builds
where delay_p95_seconds is not null order by started_at desc limit 1
"""

INCIDENTS = """\
select at, dag_id, task_id, run_id, try_number, reason, sent_at from metadata.pipeline_incidents
order by at desc limit 200
"""
