{{
    config(
        materialized='table', tags=['full'],
        indexes=[{'columns': ['transaction_id'], 'unique': true}, {'columns': ['occurred_at']}, {'columns': ['load_id']}],
    )
}}

select * from {{ source('bench', 'enriched') }}
