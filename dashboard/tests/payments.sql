-- Payments of silver, the same ones each time: %(payments)s of them from number %(first)s on, over %(days)s days up to %(newest)s, of one load.
with numbered as (
    select i, (hashint8extended(i, 1) & 2147483647)::bigint as a, (hashint8extended(i, 2) & 2147483647)::bigint as b
    from generate_series(%(first)s::bigint, %(first)s::bigint + %(payments)s::bigint - 1) i
),
places (n, city, state, country) as (
    values (0, 'Pune', 'Maharashtra', 'IN'), (1, 'Mumbai', 'Maharashtra', 'IN'), (2, 'Kochi', 'Kerala', 'IN'),
        (3, 'Orient', 'WA', 'US'), (4, 'Houston', 'TX', 'US'), (5, 'Dallas', 'TX', 'US'), (6, 'Albany', 'NY', 'US'),
        (7, null, null, null)
),
payments as (
    select i, case when places.country = 'IN' or places.country is null then 'INR' else 'USD' end as currency,
        case when i %% 8 = 7 then places.city else places.city || coalesce(nullif(' ' || a %% %(towns)s, ' 0'), '') end as city,
        places.state, places.country,
        'customer-' || b %% %(customers)s as customer_id,
        'merchant ' || a %% %(merchants)s as merchant_name,
        (array['food', 'travel', 'fuel', 'health', 'home', 'kids', 'misc', 'shopping'])[a %% %(merchants)s %% 8 + 1] as category,
        (1 + b %% 500000)::numeric / 100 as amount,
        (array['Credit Card', 'Debit Card', 'UPI', 'Net Banking', 'Wallet'])[(a / 7) %% 5 + 1] as method,
        %(newest)s::timestamptz - make_interval(secs => (a %% (%(days)s::bigint * 8640)) * 10) as occurred_at,
        b %% 100 < 12 as fails, (b / 100) %% 10 as path, (a / 11) %% 200000 as lag
    from numbered join places on places.n = i %% 8
),
statuses as (
    select p.*, 0 as step, 'PENDING' as status, occurred_at as status_at from payments p where path < 4
    union all
    select p.*, 1, case when fails then 'FAILED' else 'SUCCESS' end,
        case when path < 4 then occurred_at + make_interval(secs => lag) else occurred_at end
    from payments p where path > 0
)
insert into raw.transactions (
    transaction_id, customer_id, merchant_name, merchant_category, amount, payment_method, status, failure_reason,
    occurred_at, city, state, country, currency, is_fraud, utc_offset_minutes, status_at, known_at, content_hash,
    identity_hash, load_id, topic_id, partition, "offset"
)
select 't' || i, customer_id, merchant_name, category, amount, method, status,
    case when status = 'FAILED' then 'DECLINED' end, occurred_at, city, state, country, currency, false,
    case when country = 'IN' then 330 else 0 end, status_at, greatest(occurred_at, status_at),
    '5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11', '5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11', %(load)s, 'topic', 0, i * 2 + step
from statuses
