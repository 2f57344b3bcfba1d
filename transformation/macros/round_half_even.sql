{# Rounds to a number of digits; a tie goes to the even digit, as accountants do. PostgreSQL's own round() takes ties
   away from zero, which adds up over many payments. Exact: numeric in, numeric out. #}
{% macro round_half_even(value, digits) -%}
    case
        when
            abs({{ value }} - trunc({{ value }}, {{ digits }})) * 2 = power(10::numeric, -({{ digits }}))
            and mod(abs(trunc({{ value }}, {{ digits }})) * power(10::numeric, {{ digits }}), 2) = 0
            then trunc({{ value }}, {{ digits }})
        else round({{ value }}, {{ digits }})
    end
{%- endmacro %}
