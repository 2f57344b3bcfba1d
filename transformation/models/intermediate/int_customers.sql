{#- The home city is the most frequent one. A count can be kept by deltas, the largest of counts cannot: for customers
    that changed it is read again from int_customer_cities, by key. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='apply_delta',
        unique_key='customer_id',
        on_schema_change='fail',
        meta={
            'sums': ['transaction_count', 'success_count', 'failed_count', 'pending_count', 'fraud_count'],
            'least': ['first_seen_at'],
            'greatest': ['last_seen_at'],
        },
        indexes=[{'columns': ['customer_id'], 'unique': true}, {'columns': ['last_seen_at']}],
        post_hook="{{ move_watermark() }}",
    )
}}
{{- require_at_end('int_customer_cities') }}

with contributions as (

    {{ contributions() }}

),

cities as (

    select * from {{ ref('int_customer_cities') }}

),

totals as (

    select
        customer_id,
        {{ signed_count('true') }} as transaction_count,
        {{ signed_count("status = 'SUCCESS'") }} as success_count,
        {{ signed_count("status = 'FAILED'") }} as failed_count,
        {{ signed_count("status = 'PENDING'") }} as pending_count,
        {{ signed_count('is_fraud') }} as fraud_count,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at
    from contributions
    group by customer_id

)

select
    totals.*,
    home.city as home_city,
    home.state as home_state,
    home.country as home_country
from totals
cross join lateral (
    select
        cities.city,
        cities.state,
        cities.country
    from cities
    where cities.customer_id = totals.customer_id
    order by
        cities.transaction_count desc,
        cities.last_seen_at desc,
        cities.country asc,
        cities.state asc,
        cities.city asc
    limit 1
) as home
