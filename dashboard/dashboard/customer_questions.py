"""The SQL of the Customer page: each asks by the key of one customer, so its cost does not grow with the history."""

LATEST = """\
select occurred_at, status, amount::text as amount, currency, merchant_name, merchant_category, payment_method, city,
    state, country, device_type, coalesce(failure_reason, '') as failure_reason,
    case when is_fraud then 'fraud' else '' end as label, status_at, transaction_id
from marts.fact_transactions where customer_id = %(customer)s
order by occurred_at desc, transaction_id desc limit %(most)s
"""

ABOUT = """\
select segment, home_city, home_state, home_country, first_seen_at, last_seen_at, transaction_count, success_count,
    failed_count, pending_count, fraud_count
from marts.dim_customers where customer_id = %(customer)s
"""

LIFETIME = """\
select currency, transaction_count, success_count, lifetime_value::text as amount, failed_count, pending_count,
    pending_amount::text as pending_amount, fee_revenue
from marts.customer_lifetime where customer_id = %(customer)s order by transaction_count desc, currency
"""

# Somebody to begin with, for who has no id at hand.
NEWEST = "select customer_id from marts.dim_customers order by last_seen_at desc, customer_id limit 20"
