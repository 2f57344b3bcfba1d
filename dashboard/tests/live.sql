-- The flow as `tieout live` keeps it, in balance with the marts, up to this second. Arrivals go two minutes beyond, so that
-- what a page shows does not hang on when a busy machine looks.
delete from live.drift; delete from live.checks; delete from live.alerts; delete from live.alert_rules;
delete from live.payments; delete from live.arrivals; delete from live.seconds; delete from live.totals;
delete from live.positions; delete from live.opening; delete from live.set_aside;

insert into live.opening (topic_id, source, build_id, starts)
select 'topic', 'GOLD', build_id, '{"0": 0}' from metadata.builds where status = 'SUCCESS' limit 1;
insert into live.positions (topic_id, partition, next_offset, arrived_at) values ('topic', 0, 100, now());

insert into live.totals (currency, status, merchant_category, payment_channel, count, amount)
select currency, status, merchant_category, payment_channel, count(*), sum(amount)
from marts.fact_transactions group by 1, 2, 3, 4;

insert into live.payments (
    transaction_id, status, has_pending, amount, currency, customer_id, merchant_name, merchant_category,
    payment_method, payment_channel, device_type, city, state, country, failure_reason, is_fraud, occurred_at,
    utc_offset_minutes, status_at, arrived_at, status_arrived_at, identity_hash, topic_id, partition, "offset"
)
select case when n <= 3 then 'new-' || n else transaction_id end, status, false, amount, currency, customer_id,
    merchant_name, merchant_category, payment_method, payment_channel, device_type, city, state, country,
    failure_reason, is_fraud, now() - make_interval(secs => n * 0.7), 0, now(), now() - make_interval(secs => n * 0.7),
    now() - make_interval(secs => n * 0.7), '5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11', 'topic', 0, 1000 - n
from (
    select *, row_number() over (order by occurred_at desc, transaction_id) as n from marts.fact_transactions limit 400
) f where n <= 60;

insert into live.arrivals (second, events, taken, repeated, rejected, dead_letters, longest_delay_ms)
select date_trunc('second', now()) - make_interval(secs => n), 190 + (n * n * 7) % 31 + (abs(n) * 11) % 17, 170, 4, 2, 1,
    120 + (abs(n) * 53) % 260
from generate_series(-120, 70) n;
insert into live.seconds (second, currency, status, count, amount)
select date_trunc('second', now()) - make_interval(secs => n), currency, status, number, number * 812.35
from generate_series(0, 70) n,
    (values ('INR', 'SUCCESS', 90), ('INR', 'FAILED', 9), ('USD', 'SUCCESS', 61), ('USD', 'FAILED', 4)) v (currency, status, number);

insert into live.alert_rules (rule_code, version, meaning, thresholds)
values ('AMOUNT_OVER_LIMIT', 1, 'The amount is over the limit of its category and currency.',
        '{"limits": {"INR": {"default": 60000}}}'),
    ('VELOCITY', 1, 'More payments of a customer within the window than anybody makes by hand.',
        '{"more_than": 5, "within_seconds": 60}'),
    ('IMPOSSIBLE_TRAVEL', 1, 'Two payments of a customer in places that are farther apart than anybody travels.',
        '{"faster_than_kmh": 1000}'),
    ('NIGHT_TIME', 1, 'A high amount in the night of the payment''s own time zone.', '{"from_hour": 22, "to_hour": 4}');
insert into live.alerts (
    alert_id, rule_code, rule_version, customer_id, transaction_id, status, amount, currency, merchant_name,
    merchant_category, payment_channel, city, state, country, occurred_at, arrived_at, topic_id, partition, "offset",
    evidence
)
select 'a' || md5(n::text), (array['AMOUNT_OVER_LIMIT', 'VELOCITY', 'IMPOSSIBLE_TRAVEL'])[n % 3 + 1], 1,
    customer_id, transaction_id, status, amount, currency, merchant_name, merchant_category, payment_channel, city, state,
    country, now() - make_interval(secs => n * 47), now() - make_interval(secs => n * 47), 'topic', 0, 900 - n,
    case n % 3
        when 0 then jsonb_build_object(
            'values', jsonb_build_object('amount', amount::text), 'earlier_events', '[]'::jsonb,
            'threshold', jsonb_build_object('limit', '4000', 'category', merchant_category)
        )
        when 1 then '{"values": {"payments": 7}, "threshold": {"more_than": 5, "within_seconds": 60},
            "earlier_events": [[0, 870], [0, 871], [0, 874], [0, 875], [0, 880], [0, 881]]}'::jsonb
        else '{"values": {"km": 14021, "seconds": 5040, "from": ["IN", "Maharashtra", "Pune"], "to": ["US", "TX", "Dallas"]},
            "threshold": {"faster_than_kmh": 1000, "farther_than_km": 200}, "earlier_events": [[0, 811]]}'::jsonb
    end
from (select *, row_number() over (order by amount desc, transaction_id) as n from marts.fact_transactions) f where n <= 30;

insert into live.checks (build_id, checked_at, topic_id, ends, verdict)
select build_id, now() - interval '40 s', 'topic', '{"0": 90}', 'OK' from live.opening;
insert into live.drift (build_id, currency, status, live_count, live_amount, gold_count, gold_amount)
select build_id, currency, status, sum(count), sum(amount), sum(count), sum(amount)
from live.totals cross join live.opening group by 1, 2, 3;
