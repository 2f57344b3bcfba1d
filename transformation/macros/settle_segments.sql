{# In the transaction of daily_segment_totals: what moved has arrived, and a cell that everybody has left is gone. #}
{% macro settle_segments() %}
    {% if execute %}
        {% set segments = ref('int_customer_segments') %}
        delete from {{ this }}
        where success_count = 0 and failed_count = 0 and pending_count = 0
            and exists (select from {{ segments }} where counted_segment <> segment);
        update {{ segments }} set counted_segment = segment where counted_segment is distinct from segment;
    {% endif %}
{% endmacro %}
