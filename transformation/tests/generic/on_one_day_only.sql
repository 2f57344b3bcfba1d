{# The fact's key leads with the day, so it cannot see a transaction that stands on two. Zones move a day by one. #}
{% test on_one_day_only(model) %}
    select
        changed.transaction_id,
        changed.occurred_on,
        other.occurred_on as other_occurred_on
    from {{ model }} as changed
    cross join lateral unnest(array[-2, -1, 1, 2]) as shift (days)
    inner join {{ ref('fact_transactions') }} as other
        on
            changed.occurred_on + shift.days = other.occurred_on
            and changed.transaction_id = other.transaction_id
{% endtest %}
