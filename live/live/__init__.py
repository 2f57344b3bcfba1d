"""The flow this second: payments counted from Kafka as they arrive, alerts, and the comparison with gold."""
