{#- A payment's arrival touches its refunds: their category, channel and what was paid come from it. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='refund_id',
        on_schema_change='fail',
        indexes=[{'columns': ['occurred_on']}, {'columns': ['transaction_id']}, {'columns': ['load_id']}],
        pre_hook=["{{ forget_unknown('refunds', 'refund_id') }}", "{{ plan_the_merge() }}"],
        post_hook="{{ record_loads('refunds') }}",
    )
}}

with refunds as (

    select * from {{ ref('stg_refunds') }}

),

payments as (

    select * from {{ ref('int_transactions_enriched') }}

),

{%- if is_incremental() %}

changed as (

    select refund_id
    from {{ source('raw', 'refunds') }}
    where load_id = any({{ build_loads() }})
    union
    select of_payment.refund_id
    from {{ source('raw', 'transactions') }} as brought
    inner join {{ source('raw', 'refunds') }} as of_payment
        on brought.transaction_id = of_payment.transaction_id
    where brought.load_id = any({{ build_loads() }})
    {%- for day in build_days() %}
    union
    select refund_id
    from {{ source('raw', 'refunds') }}
    where occurred_at >= timestamptz '{{ day[0] }} 00:00:00+00' - interval '1 day'
        and occurred_at < timestamptz '{{ day[1] }} 00:00:00+00' + interval '2 days'
    {%- endfor %}

),

-- Row by row through the keys: OFFSET 0 keeps the filter inside the views, below their windows.
latest as (

    select found.*
    from changed
    cross join lateral (
        select one.*
        from refunds as one
        where one.refund_id = changed.refund_id
        offset 0  -- noqa: AM09
    ) as found

),

paid as (

    select
        latest.*,
        payment.transaction_id is not null as is_payment_known,
        payment.merchant_category,
        payment.payment_channel,
        payment.status as payment_status,
        payment.amount as payment_amount,
        payment.currency as payment_currency
    from latest
    left join lateral (
        select one.*
        from payments as one
        where one.transaction_id = latest.transaction_id
        offset 0  -- noqa: AM09
    ) as payment on true

),

{%- else %}

paid as (

    select
        refunds.*,
        payments.transaction_id is not null as is_payment_known,
        payments.merchant_category,
        payments.payment_channel,
        payments.status as payment_status,
        payments.amount as payment_amount,
        payments.currency as payment_currency
    from refunds
    left join payments on refunds.transaction_id = payments.transaction_id

),

{%- endif %}

dated as (

    select
        *,
        ((occurred_at at time zone 'UTC') + make_interval(mins => utc_offset_minutes))::date as occurred_on
    from paid

)

select
    refund_id,
    transaction_id,
    occurred_on,
    occurred_at,
    status,
    status_at,
    amount,
    currency,
    reason,
    customer_id,
    merchant_name,
    coalesce(merchant_category, 'unknown') as merchant_category,
    coalesce(payment_channel, 'unknown') as payment_channel,
    is_payment_known,
    payment_status,
    payment_amount,
    payment_currency,
    known_at,
    load_id
from dated
