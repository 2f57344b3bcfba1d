"""The port on which Python answers Java's calls, such as each batch of the stream, asks for a word first.

PySpark starts it without one: any account of the machine could call a batch, or let Python forget the stream.
"""

import secrets

from py4j.java_gateway import JavaObject
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession


def require_token(spark: SparkSession) -> None:
    """Let Python and Java agree on a word without which Python answers no call; safe to repeat."""
    gateway = spark.sparkContext._gateway
    assert gateway is not None  # noqa: S101 - only Spark Connect has none
    parameters = gateway.callback_server_parameters
    if parameters.auth_token is not None:
        return
    parameters.auth_token = secrets.token_hex(32)
    ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
    # Py4J 0.10.9.9 loses the word that Java would bring when it is told the port (PythonClient.copyWith).
    client = JavaObject("GATEWAY_SERVER", gateway._gateway_client).getCallbackClient()
    field = client.getClass().getSuperclass().getDeclaredField("authToken")
    field.setAccessible(True)
    field.set(client, parameters.auth_token)
