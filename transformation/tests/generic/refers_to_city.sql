{% test refers_to_city(model) %}
    select model.transaction_id
    from {{ model }} as model
    left join {{ ref('dim_cities') }} as cities
        on
            model.country = cities.country
            and model.state = cities.state
            and model.city = cities.city
    where cities.city is null
{% endtest %}
