{{ config(materialized='incremental', incremental_strategy='merge', unique_key='transaction_id', tags=['drain']) }}

with ranked as (

    select
        *,
        row_number() over (
            partition by transaction_id
            order by case when status = 'PENDING' then 0 else 1 end desc, known_at desc
        ) as latest_rank
    from {{ source('bench', 'silver') }}
    {% if is_incremental() %}
    where known_at > (select max(known_at) from {{ this }})
    {% endif %}

)

select * from ranked where latest_rank = 1
