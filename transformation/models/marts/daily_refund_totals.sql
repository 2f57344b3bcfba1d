{{ config(materialized='view') }}

with refunds as (

    select * from {{ ref('fact_refunds') }}

)

select
    occurred_on,
    currency,
    merchant_category,
    payment_channel,
    {%- for status in ['success', 'failed', 'pending'] %}
    count(*) filter (where status = '{{ status | upper }}') as {{ status }}_count,
    coalesce(sum(amount) filter (where status = '{{ status | upper }}'), 0)::numeric(38, 4) as {{ status }}_amount
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from refunds
group by occurred_on, currency, merchant_category, payment_channel
