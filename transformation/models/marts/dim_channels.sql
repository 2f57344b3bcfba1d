{{ config(materialized='table') }}

select
    payment_method,
    payment_channel,
    fee_percent
from {{ ref('payment_channels') }}
