{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['country', 'state', 'city'],
        on_schema_change='fail',
        meta={'sums': ['transaction_count'], 'least': ['first_seen_at'], 'greatest': ['last_seen_at']},
        post_hook="{{ move_watermark() }}",
    )
}}

with contributions as (

    {{ contributions() }}

)

select
    country,
    state,
    city,
    region,
    city_tier,
    {{ signed_count('true') }} as transaction_count,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at
from contributions
group by country, state, city, region, city_tier
