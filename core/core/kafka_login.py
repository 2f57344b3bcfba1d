"""How a user logs in to the broker, in the words of each client; Spark has words of its own."""

from typing import Any


def librdkafka_login(bootstrap: str, user: str, password: str) -> dict[str, str]:
    """Return the login as confluent-kafka takes it."""
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": user,
        "sasl.password": password,
    }


def kafka_python_login(bootstrap: str, user: str, password: str) -> dict[str, Any]:
    """Return the login as kafka-python takes it."""
    return {
        "bootstrap_servers": bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }
