-- A merchant a load, not a merchant: so a filter on the load reaches the index, and a build reads what is new.
with transactions as (

    select
        merchant_name,
        merchant_category,
        load_id,
        known_at
    from {{ source('raw', 'transactions') }}
    where {{ visible_loads() }}

)

select
    {{ merchant_key('merchant_name', 'merchant_category') }} as merchant_key,
    merchant_name,
    merchant_category,
    load_id,
    min(known_at) as first_known_at,
    count(*) as status_count
from transactions
group by merchant_name, merchant_category, load_id
