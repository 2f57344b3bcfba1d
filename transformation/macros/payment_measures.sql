{# What the summaries of payments count, in one place: their columns, and how deltas add them up. A delay is the time
   from PENDING to the final status; a final status that claims to be older than PENDING has none. #}
{% macro payment_measures(delays=true) %}
    {% set measures = [] %}
    {% for status in ['success', 'failed', 'pending'] %}
        {% set condition = "status = '" ~ (status | upper) ~ "'" %}
        {% do measures.append([status ~ '_count', signed_count(condition)]) %}
        {% do measures.append([status ~ '_amount', signed_sum('amount', condition)]) %}
    {% endfor %}
    {% do measures.append(['fee_revenue', signed_sum('fee_revenue', 'true')]) %}
    {% if delays %}
        {% do measures.append(['delayed_count', signed_count('settlement_seconds >= 0')]) %}
        {% do measures.append(['delayed_seconds', signed_seconds()]) %}
        {% for bucket in ['immediate', 'under_1_hour', 'under_1_day', 'under_3_days', '3_days_or_more'] %}
            {% set condition = settlement_delay_bucket('status', 'settlement_seconds') ~ " = '" ~ (bucket | upper) ~ "'" %}
            {% do measures.append([('from_3_days' if bucket[0] == '3' else bucket) ~ '_count', signed_count(condition)]) %}
        {% endfor %}
    {% endif %}
    {{ return(measures) }}
{% endmacro %}


{% macro payment_sums(delays=true) %}
    {%- for name, sum in payment_measures(delays) -%}
    {{ sum }} as {{ name }}{% if not loop.last %},
    {% endif %}
    {%- endfor %}
{% endmacro %}


{% macro signed_seconds() -%}
    coalesce(sum(sign * settlement_seconds) filter (where settlement_seconds >= 0), 0)::bigint
{%- endmacro %}
