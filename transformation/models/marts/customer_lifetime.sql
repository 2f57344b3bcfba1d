{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['customer_id', 'currency'],
        on_schema_change='fail',
        meta={'sums': [
            'transaction_count', 'success_count', 'lifetime_value', 'failed_count', 'pending_count', 'pending_amount',
            'fee_revenue', 'fraud_count',
        ]},
        post_hook="{{ move_watermark() }}",
    )
}}

with contributions as (

    {{ contributions() }}

)

select
    customer_id,
    currency,
    {{ signed_count('true') }} as transaction_count,
    {{ signed_count("status = 'SUCCESS'") }} as success_count,
    {{ signed_sum('amount', "status = 'SUCCESS'") }} as lifetime_value,
    {{ signed_count("status = 'FAILED'") }} as failed_count,
    {{ signed_count("status = 'PENDING'") }} as pending_count,
    {{ signed_sum('amount', "status = 'PENDING'") }} as pending_amount,
    {{ signed_sum('fee_revenue', 'true') }} as fee_revenue,
    {{ signed_count('is_fraud') }} as fraud_count
from contributions
group by customer_id, currency
