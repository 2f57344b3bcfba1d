{#- The key leads with the day, so that inserts and lookups stay on the newest pages; a full refresh lays the rows in
    the order of time for the same reason. A transaction's day never changes: stg_transactions sees to it.
    Customers are found by an index that leads with spans of 128 days: a day's payments fall on the newest span's pages
    however long the history is, and who asks for a customer alone has one search a span (skip scan, PostgreSQL 18). -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='merge_logged',
        unique_key=['occurred_on', 'transaction_id'],
        on_schema_change='fail',
        indexes=[{'columns': ['load_id']}, {'columns': ["((occurred_on - date '2000-01-01') / 128)", 'customer_id']}],
        pre_hook=["{{ repair_days() }}", "{{ plan_the_merge() }}"],
        post_hook="{{ record_fact_build() }}",
    )
}}
{%- set columns = [
    'transaction_id', 'occurred_on', 'occurred_at', 'status', 'status_at', 'amount', 'currency', 'fee_revenue',
    'customer_id', 'merchant_key', 'merchant_name', 'merchant_category', 'payment_method', 'payment_channel', 'city',
    'state', 'country', 'region', 'city_tier', 'device_type', 'is_fraud', 'failure_reason', 'hour_of_day', 'weekday',
    'is_weekend', 'part_of_day', 'settlement_seconds', 'settlement_delay_bucket', 'processing_seconds',
    'processing_bucket', 'given_segment', 'known_at', 'load_id',
] %}

with transactions as (

    select * from {{ ref('int_transactions_enriched') }}

)

{%- if is_incremental() %},

changed as (

    select transaction_id
    from {{ source('raw', 'transactions') }}
    where load_id = any({{ build_loads() }})
    group by transaction_id

),

-- Row by row through the key: OFFSET 0 keeps the filter inside the view, below its windows.
latest as (

    select found.*
    from changed
    cross join lateral (
        select one.*
        from transactions as one
        where one.transaction_id = changed.transaction_id
        offset 0  -- noqa: AM09
    ) as found

)

{%- else %},

latest as (

    select * from transactions
    order by occurred_at

)

{%- endif %}

select
    {{ columns | join(',\n    ') }}
from latest
