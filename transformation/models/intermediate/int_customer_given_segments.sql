{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['customer_id', 'given_segment'],
        on_schema_change='fail',
        meta={'sums': ['transaction_count'], 'greatest': ['last_seen_at']},
        indexes=[{'columns': ['customer_id', 'given_segment'], 'unique': true}],
        post_hook="{{ move_watermark() }}",
    )
}}

with contributions as (

    {{ contributions() }}

)

select
    customer_id,
    given_segment,
    {{ signed_count('true') }} as transaction_count,
    max(occurred_at) as last_seen_at
from contributions
where given_segment <> 'Unknown'
group by customer_id, given_segment
