{{ config(materialized='view') }}

with refunds as (

    select * from {{ ref('fact_refunds') }}

),

given_back as (

    select
        transaction_id,
        currency,
        coalesce(sum(amount) filter (where status <> 'FAILED'), 0)::numeric(38, 4) as refunded_amount
    from refunds
    group by transaction_id, currency

),

judged as (

    select
        refunds.*,
        given_back.refunded_amount,
        case
            when not refunds.is_payment_known then 'NO_PAYMENT'
            when refunds.currency <> refunds.payment_currency then 'OTHER_CURRENCY'
            when
                refunds.status <> 'FAILED'
                and given_back.refunded_amount
                > case when refunds.payment_status = 'FAILED' then 0 else refunds.payment_amount end
                then 'ABOVE_PAID'
        end as exception
    from refunds
    inner join given_back
        on refunds.transaction_id = given_back.transaction_id and refunds.currency = given_back.currency

)

select
    refund_id,
    transaction_id,
    exception,
    occurred_on,
    status,
    amount,
    currency,
    refunded_amount,
    payment_amount,
    payment_currency,
    payment_status
from judged
where exception is not null
