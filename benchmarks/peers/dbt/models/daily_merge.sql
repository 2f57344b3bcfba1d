{{ config(materialized='table', tags=['merge']) }}

{{ daily_of(ref('fact_merge')) }}
