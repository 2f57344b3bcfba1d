{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['occurred_on', 'currency', 'country', 'state', 'city', 'merchant_category', 'payment_channel'],
        on_schema_change='fail',
        indexes=[{'columns': ['currency', 'state', 'city', 'occurred_on']}],
        meta={'sums': payment_measures() | map('first') | list},
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
    country,
    state,
    city,
    region,
    merchant_category,
    payment_channel,
    {{ payment_sums() }}
from contributions
group by occurred_on, currency, country, state, city, region, merchant_category, payment_channel
