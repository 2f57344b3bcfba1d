-- What operations would see after a working night: loads, broken rules, letters, a proof, two incidents.
insert into metadata.load_audit (
    status, started_at, finished_at, seconds, path, rows_expected, rows_read, rows_loaded, duplicates, rejected,
    already_loaded, dead_letters_expected, dead_letters_read, dead_letters, run_id, error_code
)
select case when n = 17 then 'FAILED' else 'SUCCESS' end, now() - make_interval(mins => 5 * (40 - n)),
    now() - make_interval(mins => 5 * (40 - n)) + interval '4 s', 2.1 + (n * 37 % 29) / 10.0, 'FRESH',
    4800 + n * 7, 4800 + n * 7, 4700 + n * 7, 60, 40, 0, 12 + n % 5, 12 + n % 5, 12 + n % 5,
    'scheduled-' || n, case when n = 17 then 'DATABASE_AWAY' end
from generate_series(1, 40) n;

insert into metadata.data_quality_metrics (load_id, metric, rule, currency, rows_checked, rows_broken)
select a.load_id, kind.metric, kind.rule, null, 4800, (a.load_id * kind.factor) % kind.most
from metadata.load_audit a cross join (
    values ('RULE', 'AMOUNT_NOT_POSITIVE', 7, 23), ('RULE', 'CURRENCY_UNKNOWN', 5, 13),
        ('DEAD_LETTERS', 'FIELD_TYPE', 3, 9), ('DEAD_LETTERS', 'NOT_JSON', 11, 6), ('NULLS', 'customer_id', 13, 17)
) kind (metric, rule, factor, most)
where a.status = 'SUCCESS' and a.run_id is not null;

insert into raw.dead_letters (
    topic_id, partition, "offset", reasons, arrived_at, value_bytes, load_id, amount_hint, currency_hint
)
select 'topic', 1, n, array[(array['FIELD_TYPE', 'NOT_JSON', 'AMOUNT_PRECISION'])[n % 3 + 1]],
    now() - make_interval(hours => n), 420, 2, case when n % 3 <> 1 then 100 + n end,
    case when n % 3 <> 1 then 'INR' end
from generate_series(1, 40) n;

insert into raw.rejected_transactions (
    topic_id, partition, "offset", reasons, known_at, status_at, amount, currency, load_id
)
select 'topic', 2, n, array[(array['AMOUNT_NOT_POSITIVE', 'CUSTOMER_ID_MISSING'])[n % 2 + 1]],
    now() - make_interval(hours => 2 * n), now() - make_interval(hours => 2 * n), case n % 2 when 0 then -5 else 60 end,
    'USD', 2
from generate_series(1, 24) n;

insert into metadata.proof (
    proof_id, checked_at, equation, scope, currency, left_count, left_amount, right_count, right_amount, verdict
)
select '1e7c0f0e-9f3c-4d1a-8b53-6d1f5d0f3c11', now() - interval '2 minutes', *
from (
    values ('E0', '{"feed": "card-replay"}'::jsonb, 'INR', 4120, 9120450.10, 4120, 9120450.10, 'OK'),
        ('E0', '{"feed": "card-replay"}', 'USD', 3640, 8450210.45, 3640, 8450210.45, 'OK'),
        ('E0', '{"feed": "(none)"}', null, 12, null, 12, null, 'UNATTESTED'),
        ('E1', '{"partition": 0}', null, 3880, null, 3880, null, 'OK'),
        ('E1', '{"partition": 1}', null, 3892, null, 3892, null, 'OK'),
        ('E2', '{"load_id": 41}', 'INR', 2590, 5740310.00, 2590, 5740310.00, 'OK'),
        ('E2', '{"load_id": 41}', 'USD', 2210, 5101002.50, 2210, 5101002.50, 'OK'),
        ('E3', '{}', 'INR', 4100, 9101001.00, 4060, 9020100.25, 'OPEN'),
        ('E4', '{}', 'INR', 4060, 9020100.25, 4060, 9020100.25, 'OK'),
        ('E4', '{}', 'USD', 3600, 8400000.00, 3600, 8400000.00, 'OK')
) v;
insert into metadata.proof (
    proof_id, checked_at, equation, scope, currency, left_count, left_amount, right_count, right_amount, verdict
)
values ('0e7c0f0e-9f3c-4d1a-8b53-6d1f5d0f3c11', now() - interval '3 days', 'E2', '{"load_id": 7}', 'INR', 120, 20100.00,
    119, 19950.00, 'DIFFERENT');

insert into metadata.pipeline_incidents (at, dag_id, task_id, run_id, try_number, reason, sent_at)
values (now() - interval '5 hours', 'tieout_pipeline', 'load', 'scheduled-17', 3, 'DATABASE_AWAY: PostgreSQL did not answer', null),
    (now() - interval '3 days', 'tieout_pipeline', 'proof', 'scheduled-3', 1, 'E2 is DIFFERENT: 150.00 INR of load 7', now() - interval '3 days');
