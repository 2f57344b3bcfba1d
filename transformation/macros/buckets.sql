{% macro part_of_day(hour) -%}
    case
        when {{ hour }} between 6 and 11 then 'MORNING'
        when {{ hour }} between 12 and 16 then 'AFTERNOON'
        when {{ hour }} between 17 and 20 then 'EVENING'
        else 'NIGHT'
    end
{%- endmacro %}


{# IMMEDIATE: final from the start, never PENDING. BACKWARDS: the final status claims to be older than PENDING. #}
{% macro settlement_delay_bucket(status, seconds) -%}
    case
        when {{ status }} = 'PENDING' then 'UNSETTLED'
        when {{ seconds }} is null then 'IMMEDIATE'
        when {{ seconds }} < 0 then 'BACKWARDS'
        when {{ seconds }} < 3600 then 'UNDER_1_HOUR'
        when {{ seconds }} < 86400 then 'UNDER_1_DAY'
        when {{ seconds }} < 259200 then 'UNDER_3_DAYS'
        else '3_DAYS_OR_MORE'
    end
{%- endmacro %}


{# How long the provider took over a payment; null where nobody said it. #}
{% macro processing_bucket(seconds) -%}
    case
        when {{ seconds }} < 1 then 'FAST'
        when {{ seconds }} < 3 then 'MEDIUM'
        when {{ seconds }} is not null then 'SLOW'
    end
{%- endmacro %}


{# Days since the customer was last seen, counted back from the data's newest payment, not from today. #}
{% macro customer_segment(first_seen, last_seen, newest) -%}
    case
        when {{ newest }} - {{ first_seen }} <= interval '30 days' then 'NEW'
        when {{ newest }} - {{ last_seen }} <= interval '30 days' then 'ACTIVE'
        when {{ newest }} - {{ last_seen }} <= interval '90 days' then 'AT_RISK'
        else 'LAPSED'
    end
{%- endmacro %}
