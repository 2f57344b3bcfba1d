{#- Only of payments that say how long they took. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key=['occurred_on', 'currency', 'payment_method', 'country', 'state', 'city', 'given_segment'],
        on_schema_change='fail',
        meta={'sums': payment_measures(delays=false) | map('first') | list
            + ['processing_seconds', 'fast_count', 'medium_count', 'slow_count']},
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
    payment_method,
    country,
    state,
    city,
    region,
    given_segment,
    {{ payment_sums(delays=false) }},
    {{ signed_sum('processing_seconds', 'true') }} as processing_seconds,
    {%- for bucket in ['fast', 'medium', 'slow'] %}
    {{ signed_count(processing_bucket('processing_seconds') ~ " = '" ~ (bucket | upper) ~ "'") }} as {{ bucket }}_count
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from contributions
where processing_seconds is not null
group by occurred_on, currency, payment_method, country, state, city, region, given_segment
