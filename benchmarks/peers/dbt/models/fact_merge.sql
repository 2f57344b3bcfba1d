{{ config(materialized='incremental', incremental_strategy='merge', unique_key='transaction_id', tags=['merge']) }}

select * from {{ source('bench', 'enriched') }}
{% if is_incremental() %}
where occurred_at >= (select max(occurred_at) - interval '3 days' from {{ this }})
{% endif %}
