{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name or target.schema }}{% endmacro %}

{% macro daily_of(fact) %}
    select
        occurred_on,
        currency,
        merchant_category,
        payment_channel,
        status,
        count(*) as payment_count,
        sum(amount) as amount,
        sum(fee_revenue) as fee_revenue
    from {{ fact }}
    group by 1, 2, 3, 4, 5
{% endmacro %}
