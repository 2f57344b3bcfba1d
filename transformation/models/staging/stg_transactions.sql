-- Where a transaction has reached, of the loads that this build may see: a final status stands above PENDING,
-- whichever arrived first, and of the same kind the one that was known later. All windows are over transaction_id and
-- its time, which never changes, so that a filter on either of them reaches an index of the table.
with statuses as (

    select *
    from {{ source('raw', 'transactions') }}
    where {{ visible_loads() }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by transaction_id, occurred_at
            order by (status <> 'PENDING') desc, known_at desc, load_id desc
        ) as latest_rank,
        min(status_at) filter (where status = 'PENDING') over (partition by transaction_id, occurred_at) as pending_at,
        -- A settlement may write the same instant in another zone; the day of a transaction stays what it was.
        first_value(utc_offset_minutes) over (
            partition by transaction_id, occurred_at
            order by load_id, known_at, status
        ) as first_utc_offset_minutes,
        -- A figure once said stays, so that a payment never leaves the totals that it stands in.
        first_value(customer_segment) over (
            partition by transaction_id, occurred_at
            order by load_id, known_at, status
        ) as given_segment,
        max(processing_seconds) over (partition by transaction_id, occurred_at) as longest_seconds,
        max(fee_percent) over (partition by transaction_id, occurred_at) as highest_fee_percent
    from statuses

)

select
    transaction_id,
    status,
    status_at,
    pending_at,
    occurred_at,
    first_utc_offset_minutes as utc_offset_minutes,
    customer_id,
    {{ merchant_key('merchant_name', 'merchant_category') }} as merchant_key,
    merchant_name,
    merchant_category,
    amount,
    currency,
    payment_method,
    failure_reason,
    city,
    state,
    country,
    device_type,
    is_fraud,
    cast(longest_seconds as numeric(20, 4)) as processing_seconds,
    given_segment,
    cast(coalesce(fee_percent, highest_fee_percent) as numeric(20, 4)) as given_fee_percent,
    known_at,
    load_id
from ranked
where latest_rank = 1
