{{ config(materialized='view') }}

with totals as (

    select * from {{ ref('daily_revenue_totals') }}

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
    (success_count::numeric / nullif(success_count + failed_count, 0))::numeric(7, 6) as success_rate
from totals
