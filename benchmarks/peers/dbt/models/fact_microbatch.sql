{{
    config(
        materialized='incremental', incremental_strategy='microbatch', unique_key='transaction_id',
        event_time='occurred_at', begin='2020-01-01', batch_size='day', lookback=3, tags=['microbatch'],
    )
}}

select * from {{ source('bench', 'enriched') }}
