{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key='merchant_key',
        on_schema_change='fail',
        meta={
            'sums': ['transaction_count', 'success_count', 'failed_count', 'pending_count', 'fraud_count'],
            'least': ['first_seen_at'],
            'greatest': ['last_seen_at'],
        },
        post_hook="{{ move_watermark() }}",
    )
}}

with contributions as (

    {{ contributions() }}

)

select
    merchant_key,
    merchant_name,
    merchant_category,
    {{ signed_count('true') }} as transaction_count,
    {{ signed_count("status = 'SUCCESS'") }} as success_count,
    {{ signed_count("status = 'FAILED'") }} as failed_count,
    {{ signed_count("status = 'PENDING'") }} as pending_count,
    {{ signed_count('is_fraud') }} as fraud_count,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at
from contributions
group by merchant_key, merchant_name, merchant_category
