{#- A view between the data's first and last day: there is no date to add and none to forget. -#}
{{ config(materialized='view') }}

with bounds as (

    select
        min(occurred_on) as first_day,
        max(occurred_on) as last_day
    from {{ ref('fact_transactions') }}

),

days as (

    select generate_series(first_day, last_day, interval '1 day')::date as occurred_on
    from bounds

)

select
    occurred_on,
    extract(year from occurred_on)::smallint as year,
    extract(quarter from occurred_on)::smallint as quarter,
    extract(month from occurred_on)::smallint as month,
    extract(day from occurred_on)::smallint as day_of_month,
    extract(isoyear from occurred_on)::smallint as iso_year,
    extract(week from occurred_on)::smallint as iso_week,
    extract(isodow from occurred_on)::smallint as weekday,
    trim(to_char(occurred_on, 'Day')) as weekday_name,
    extract(isodow from occurred_on) in (6, 7) as is_weekend
from days
