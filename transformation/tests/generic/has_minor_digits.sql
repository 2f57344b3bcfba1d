{# An amount has no more digits behind the point than its currency has minor digits. #}
{% test has_minor_digits(model, column_name) %}
    select money.*
    from {{ model }} as money
    left join {{ ref('currencies') }} as currencies on money.currency = currencies.currency
    where (money.{{ column_name }} = trunc(money.{{ column_name }}, currencies.minor_digits)) is not true
{% endtest %}
