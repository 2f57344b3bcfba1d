{{ config(materialized='table', tags=['delete_insert']) }}

{{ daily_of(ref('fact_delete_insert')) }}
