{{ config(materialized='table', tags=['microbatch']) }}

{{ daily_of(ref('fact_microbatch')) }}
