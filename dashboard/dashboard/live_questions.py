"""The SQL of the Live and Alerts pages: the schema live, kept by `tieout live`. Every table here is short."""

# Where the engine stands; moved_at is its own clock, arrived_at the broker's.
STATE = """\
select o.source, o.opened_at, max(p.moved_at) as moved_at, max(p.arrived_at) as arrived_at,
    extract(epoch from now() - max(p.moved_at))::bigint as silent_seconds
from live.opening o left join live.positions p using (topic_id)
group by o.source, o.opened_at
"""

# Events that the engine could not handle.
SET_ASIDE = """\
select count(*) filter (where part = 'COUNTING')::bigint as not_counted,
    count(*) filter (where part = 'ALERTS')::bigint as not_judged, max(arrived_at) as newest
from live.set_aside
"""

# A row for each of the last sixty whole seconds, the quiet ones too.
PACE = """\
select s.second, coalesce(a.events, 0)::bigint as events, coalesce(a.longest_delay_ms, 0)::bigint as longest_delay_ms
from generate_series(date_trunc('second', now()) - interval '60 s', date_trunc('second', now()) - interval '1 s', '1 s')
    as s (second)
left join live.arrivals a using (second)
order by s.second
"""

MINUTE = """\
select currency, sum(count) filter (where status = 'SUCCESS')::bigint as success_count,
    sum(count) filter (where status = 'FAILED')::bigint as failed_count,
    (coalesce(sum(amount) filter (where status = 'SUCCESS'), 0))::text as amount
from live.seconds where second >= now() - interval '60 s'
group by currency
"""

TOTALS = """\
select currency, sum(count) filter (where status = 'SUCCESS')::bigint as success_count,
    sum(count) filter (where status = 'FAILED')::bigint as failed_count,
    sum(count) filter (where status = 'PENDING')::bigint as pending_count,
    (coalesce(sum(amount) filter (where status = 'SUCCESS'), 0))::text as amount,
    (coalesce(sum(amount) filter (where status = 'PENDING'), 0))::text as pending_amount
from live.totals group by currency order by sum(count) desc, currency
"""

SPENDING = """\
select case when grouping(merchant_category) = 0 then 'merchant_category' else 'payment_channel' end as grouped,
    coalesce(merchant_category, payment_channel) as name, sum(count)::bigint as payments, sum(amount)::text as amount
from live.totals where status = 'SUCCESS' and currency = %(currency)s
group by grouping sets ((merchant_category), (payment_channel))
having sum(count) > 0
order by sum(amount) desc, name
"""

LAST = """\
select arrived_at, status, amount::text as amount, currency, merchant_name, merchant_category, payment_channel,
    coalesce(city, '') as city, customer_id, transaction_id
from live.payments order by arrived_at desc, "offset" desc limit 20
"""

# Of one customer: what the marts do not know yet, or not with this status.
AHEAD = """\
select p.arrived_at, p.occurred_at, p.status, p.amount::text as amount, p.currency, p.merchant_name,
    p.merchant_category, p.payment_method, coalesce(p.city, '') as city, p.transaction_id
from live.payments p
where p.customer_id = %(customer)s and not exists (
    select from marts.fact_transactions f
    where f.customer_id = p.customer_id and f.transaction_id = p.transaction_id
        and (f.status = p.status or p.status = 'PENDING')
)
order by p.occurred_at desc limit 50
"""

CHECK = """\
select c.build_id, c.checked_at, c.verdict, coalesce(c.why, '') as why, d.currency, d.status, d.live_count,
    d.live_amount::text as live_amount, d.gold_count, d.gold_amount::text as gold_amount, d.drift_count,
    d.drift_amount::text as drift_amount
from (select * from live.checks order by checked_at desc limit 1) c left join live.drift d using (build_id)
order by d.drift_count = 0 and d.drift_amount = 0, d.currency, d.status
"""
CHECKS = """\
select count(*)::bigint as checks, count(*) filter (where verdict = 'DIFFERENT')::bigint as different,
    count(*) filter (where verdict = 'UNCHECKED')::bigint as unchecked, min(checked_at) as since
from live.checks
"""

ALERTS = """\
select a.arrived_at, a.rule_code, a.amount::text as amount, a.currency, a.customer_id, a.merchant_name,
    a.merchant_category, coalesce(a.city, '') as city, a.status, a.evidence::text as evidence, a.alert_id,
    a.transaction_id, a.topic_id, a.partition, a."offset", a.occurred_at, a.raised_at, a.published_at,
    coalesce(r.meaning, '') as meaning
from live.alerts a left join live.alert_rules r using (rule_code)
where (%(rules)s::text[] = '{}' or a.rule_code = any(%(rules)s::text[]))
order by a.arrived_at desc, a.alert_id limit %(most)s
"""
ALERT = ALERTS.replace(
    "where (%(rules)s::text[] = '{}' or a.rule_code = any(%(rules)s::text[]))", "where a.alert_id = %(alert)s"
)
ALERTS_BY_RULE = """\
select r.rule_code, r.meaning, r.thresholds::text as thresholds, count(a.alert_id)::bigint as alerts,
    count(a.alert_id) filter (where a.arrived_at >= now() - interval '1 hour')::bigint as last_hour,
    max(a.arrived_at) as newest
from live.alert_rules r left join live.alerts a using (rule_code)
group by r.rule_code, r.meaning, r.thresholds order by alerts desc, r.rule_code
"""
