{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['customer_id', 'country', 'state', 'city'],
        on_schema_change='fail',
        meta={'sums': ['transaction_count'], 'greatest': ['last_seen_at']},
        indexes=[{'columns': ['customer_id', 'country', 'state', 'city'], 'unique': true}],
        post_hook="{{ move_watermark() }}",
    )
}}

with contributions as (

    {{ contributions() }}

)

select
    customer_id,
    country,
    state,
    city,
    {{ signed_count('true') }} as transaction_count,
    max(occurred_at) as last_seen_at
from contributions
group by customer_id, country, state, city
