{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['occurred_on', 'currency', 'merchant_category', 'payment_channel'],
        on_schema_change='fail',
        meta={'sums': [
            'success_count', 'success_amount', 'failed_count', 'failed_amount', 'pending_count', 'pending_amount',
            'fee_revenue', 'fraud_count', 'fraud_amount',
        ]},
        pre_hook="{{ forget_days() }}",
        post_hook="{{ move_watermark() }}",
    )
}}

with contributions as (

    {{ contributions(build_days()) }}

)

select
    occurred_on,
    currency,
    merchant_category,
    payment_channel,
    {%- for status in ['success', 'failed', 'pending'] %}
    {{ signed_count("status = '" ~ (status | upper) ~ "'") }} as {{ status }}_count,
    {{ signed_sum('amount', "status = '" ~ (status | upper) ~ "'") }} as {{ status }}_amount,
    {%- endfor %}
    {{ signed_sum('fee_revenue', 'true') }} as fee_revenue,
    {{ signed_count('is_fraud') }} as fraud_count,
    {{ signed_sum('amount', 'is_fraud') }} as fraud_amount
from contributions
group by occurred_on, currency, merchant_category, payment_channel
