{#- A segment hangs on the data's newest payment, so it moves without any payment of the customer. counted_segment is
    where daily_segment_totals has counted the customer's payments; only that mart sets it, with its own rows. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='customer_id',
        merge_update_columns=['segment'],
        on_schema_change='fail',
        indexes=[{'columns': ['customer_id'], 'unique': true}],
    )
}}
{{- require_at_end('int_customers') }}

with customers as (

    select * from {{ ref('int_customers') }}

),

newest as (

    select max(last_seen_at) as newest_at
    from customers

),

segments as (

    select
        customers.customer_id,
        {{ customer_segment('customers.first_seen_at', 'customers.last_seen_at', 'newest.newest_at') }} as segment,
        cast(null as text) as counted_segment
    from customers
    cross join newest

)

{%- if is_incremental() %},

final as (

    select segments.*
    from segments
    left join {{ this }} as known
        on segments.customer_id = known.customer_id
    where known.segment is distinct from segments.segment

)

{%- else %},

final as (

    select * from segments

)

{%- endif %}

select
    customer_id,
    segment,
    counted_segment
from final
