with transactions as (

    select * from {{ ref('stg_transactions') }}

),

channels as (

    select * from {{ ref('payment_channels') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

states as (

    select * from {{ ref('states') }}

),

cities as (

    select * from {{ ref('indian_cities') }}

),

localised as (

    select
        *,
        (occurred_at at time zone 'UTC') + make_interval(mins => utc_offset_minutes) as occurred_local,
        case
            when status = 'PENDING' or pending_at is null then null
            else floor(extract(epoch from status_at - pending_at))::bigint
        end as settlement_seconds
    from transactions

),

dated as (

    select
        *,
        occurred_local::date as occurred_on,
        extract(hour from occurred_local)::smallint as hour_of_day,
        extract(isodow from occurred_local)::smallint as weekday
    from localised

),

joined as (

    select
        dated.*,
        channels.payment_channel,
        currencies.minor_digits,
        coalesce(states.region, 'Unknown') as region,
        coalesce(cities.city_tier, 'Unranked') as city_tier,
        dated.amount * coalesce(dated.given_fee_percent, channels.fee_percent) * 0.01 as exact_fee
    from dated
    left join channels on dated.payment_method = channels.payment_method
    left join currencies on dated.currency = currencies.currency
    left join states on dated.country = states.country and dated.state = states.state
    left join cities on dated.country = 'IN' and dated.city = cities.city

)

select
    transaction_id,
    occurred_on,
    occurred_at,
    status,
    status_at,
    amount,
    currency,
    cast(
        case
            when status = 'SUCCESS' then {{ round_half_even('exact_fee', 'minor_digits') }}
            else 0
        end as numeric(20, 4)
    ) as fee_revenue,
    customer_id,
    merchant_key,
    merchant_name,
    merchant_category,
    payment_method,
    payment_channel,
    coalesce(city, 'Unknown') as city,
    coalesce(state, 'Unknown') as state,
    coalesce(country, 'Unknown') as country,
    region,
    city_tier,
    device_type,
    is_fraud,
    failure_reason,
    hour_of_day,
    weekday,
    weekday in (6, 7) as is_weekend,
    {{ part_of_day('hour_of_day') }} as part_of_day,
    settlement_seconds,
    {{ settlement_delay_bucket('status', 'settlement_seconds') }} as settlement_delay_bucket,
    processing_seconds,
    {{ processing_bucket('processing_seconds') }} as processing_bucket,
    coalesce(given_segment, 'Unknown') as given_segment,
    known_at,
    load_id
from joined
