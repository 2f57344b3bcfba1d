{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['occurred_on', 'currency', 'merchant_key'],
        on_schema_change='fail',
        meta={'sums': payment_measures(delays=false) | map('first') | list},
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
    merchant_key,
    merchant_name,
    merchant_category,
    {{ payment_sums(delays=false) }}
from contributions
group by occurred_on, currency, merchant_key, merchant_name, merchant_category
