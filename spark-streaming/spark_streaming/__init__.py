"""Kafka to the bronze lake and the dead letters, every offset exactly once."""
