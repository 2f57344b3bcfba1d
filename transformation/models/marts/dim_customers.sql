{#- A view: the segment hangs on the data's newest payment, so it changes for customers that nothing else touched. -#}
{{ config(materialized='view') }}

with customers as (

    select * from {{ ref('int_customers') }}

),

newest as (

    select max(last_seen_at) as newest_at
    from customers

),

given as (

    select distinct on (customer_id)
        customer_id,
        given_segment
    from {{ ref('int_customer_given_segments') }}
    where transaction_count > 0
    order by customer_id asc, last_seen_at desc, given_segment asc

)

select
    customers.customer_id,
    {{ customer_segment('customers.first_seen_at', 'customers.last_seen_at', 'newest.newest_at') }} as segment,
    coalesce(given.given_segment, 'Unknown') as given_segment,
    customers.home_city,
    customers.home_state,
    customers.home_country,
    customers.first_seen_at,
    customers.last_seen_at,
    customers.transaction_count,
    customers.success_count,
    customers.failed_count,
    customers.pending_count,
    customers.fraud_count
from customers
cross join newest
left join given on customers.customer_id = given.customer_id
