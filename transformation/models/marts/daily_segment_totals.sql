{#- Kept by deltas of payments, and by moves of customers: whoever changes the segment takes along the whole history,
    found by the fact's index. Row by row: as a join the planner would read the whole fact for a handful of movers. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['occurred_on', 'currency', 'segment', 'region', 'merchant_category', 'payment_channel'],
        on_schema_change='fail',
        meta={'sums': payment_measures() | map('first') | list},
        pre_hook="{{ forget_days() }}",
        post_hook=["{{ move_watermark() }}", "{{ settle_segments() }}"],
    )
}}
{%- set columns = [
    'occurred_on', 'currency', 'region', 'merchant_category', 'payment_channel', 'status', 'amount', 'fee_revenue',
    'settlement_seconds',
] %}
{%- set counted_segment = 'coalesce(counted_segment, segment)' if is_incremental() else 'segment' %}

with contributions as (

    {{ contributions(build_days()) }}

),

segments as (

    select
        customer_id,
        segment,
        counted_segment,
        {{ counted_segment }} as known_as
    from {{ ref('int_customer_segments') }}

),

counted as (

    select
        contributions.sign,
        segments.known_as,
        contributions.{{ columns | join(',\n        contributions.') }}
    from contributions
    inner join segments
        on contributions.customer_id = segments.customer_id

)

{%- if is_incremental() %},

movers as (

    select * from segments
    where counted_segment <> segment

),

taken_along as (

    select
        movers.segment,
        movers.counted_segment,
        payments.*
    from movers
    cross join lateral (
        select one.*
        from {{ ref('fact_transactions') }} as one
        where one.customer_id = movers.customer_id
        offset 0  -- noqa: AM09
    ) as payments

),

final as (

    select * from counted
    union all
    select
        -1 as sign,
        counted_segment as known_as,
        {{ columns | join(',\n        ') }}
    from taken_along
    union all
    select
        1 as sign,
        segment as known_as,
        {{ columns | join(',\n        ') }}
    from taken_along

)

{%- else %},

final as (

    select * from counted

)

{%- endif %}

select
    occurred_on,
    currency,
    known_as as segment,
    region,
    merchant_category,
    payment_channel,
    {{ payment_sums() }}
from final
group by occurred_on, currency, known_as, region, merchant_category, payment_channel
