{{ config(materialized='table', tags=['full']) }}

{{ daily_of(ref('fact_full')) }}
