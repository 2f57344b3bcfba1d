{{ config(materialized='table', tags=['merge_by_load']) }}

{{ daily_of(ref('fact_merge_by_load')) }}
