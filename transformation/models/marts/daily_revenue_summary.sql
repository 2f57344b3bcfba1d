{#- The fact and not its daily totals: dbt replaces a view by another one, and drops what stands on the old one. -#}
{{ config(materialized='view') }}

with payments as (

    select * from {{ ref('daily_revenue_totals') }}

),

refunds as (

    select
        occurred_on,
        currency,
        merchant_category,
        payment_channel,
        amount
    from {{ ref('fact_refunds') }}
    where status = 'SUCCESS'

),

-- One below the other and then summed: a filter on the day reaches both.
both_kinds as (

    select
        occurred_on,
        currency,
        merchant_category,
        payment_channel,
        success_count,
        success_amount,
        failed_count,
        failed_amount,
        pending_count,
        pending_amount,
        fee_revenue,
        fraud_count,
        fraud_amount,
        0::bigint as refunded_count,
        0::numeric(38, 4) as refunded_amount
    from payments
    union all
    select
        occurred_on,
        currency,
        merchant_category,
        payment_channel,
        0 as success_count,
        0 as success_amount,
        0 as failed_count,
        0 as failed_amount,
        0 as pending_count,
        0 as pending_amount,
        0 as fee_revenue,
        0 as fraud_count,
        0 as fraud_amount,
        1 as refunded_count,
        amount as refunded_amount
    from refunds

),

totals as (

    select
        occurred_on,
        currency,
        merchant_category,
        payment_channel,
        {%- for kind in ['success', 'failed', 'pending', 'fraud', 'refunded'] %}
        sum({{ kind }}_count)::bigint as {{ kind }}_count,
        sum({{ kind }}_amount)::numeric(38, 4) as {{ kind }}_amount,
        {%- endfor %}
        sum(fee_revenue)::numeric(38, 4) as fee_revenue
    from both_kinds
    group by occurred_on, currency, merchant_category, payment_channel

)

select
    occurred_on,
    currency,
    merchant_category,
    payment_channel,
    success_count + failed_count + pending_count as attempt_count,
    (success_amount + failed_amount + pending_amount)::numeric(38, 4) as attempt_amount,
    success_count,
    success_amount,
    failed_count,
    failed_amount,
    pending_count,
    pending_amount,
    fee_revenue,
    fraud_count,
    fraud_amount,
    (success_amount / nullif(success_count, 0))::numeric(20, 4) as average_ticket,
    (success_count::numeric / nullif(success_count + failed_count, 0))::numeric(7, 6) as success_rate,
    refunded_count,
    refunded_amount,
    (success_amount - refunded_amount)::numeric(38, 4) as net_amount
from totals
