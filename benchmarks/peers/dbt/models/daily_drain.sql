{{ config(materialized='table', tags=['drain']) }}

select
    occurred_at::date as occurred_on,
    currency,
    merchant_category,
    payment_method,
    status,
    count(*) as payment_count,
    sum(amount) as amount
from {{ ref('fact_drain') }}
group by 1, 2, 3, 4, 5
