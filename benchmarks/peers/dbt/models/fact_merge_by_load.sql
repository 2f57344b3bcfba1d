{{
    config(materialized='incremental', incremental_strategy='merge', unique_key='transaction_id', tags=['merge_by_load'])
}}

select * from {{ source('bench', 'enriched') }}
{% if is_incremental() %}
where load_id > (select max(load_id) from {{ this }})
{% endif %}
