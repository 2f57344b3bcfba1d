-- Where a refund has reached, of the loads that this build may see: a final status stands above PENDING, whichever
-- arrived first. All windows are over refund_id and its time, which never changes, so that a filter on either of them
-- reaches an index of the table.
with statuses as (

    select *
    from {{ source('raw', 'refunds') }}
    where {{ visible_loads() }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by refund_id, occurred_at
            order by (status <> 'PENDING') desc, known_at desc, load_id desc
        ) as latest_rank,
        first_value(utc_offset_minutes) over (
            partition by refund_id, occurred_at
            order by load_id, known_at, status
        ) as first_utc_offset_minutes
    from statuses

)

select
    refund_id,
    transaction_id,
    status,
    status_at,
    occurred_at,
    first_utc_offset_minutes as utc_offset_minutes,
    amount,
    currency,
    reason,
    customer_id,
    merchant_name,
    known_at,
    load_id
from ranked
where latest_rank = 1
