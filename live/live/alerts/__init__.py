"""Rules over what a customer does: rules as data, a memory per customer, alerts with their evidence."""
