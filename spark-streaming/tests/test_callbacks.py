"""Nobody but our own Java calls our Python, and nobody but the stream's account sees the lake."""

import socket
import threading
from contextlib import suppress

import pytest
from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession

from spark_streaming.callbacks import require_token

pytestmark = pytest.mark.services


class Called:
    """Is run by Java, or by whoever may call."""

    def __init__(self) -> None:
        self.times = 0
        self.happened = threading.Event()

    def run(self) -> None:
        self.times += 1
        self.happened.set()

    class Java:
        implements = ["java.lang.Runnable"]  # noqa: RUF012 - Py4J's own form


def test_java_calls_python_and_a_stranger_who_knows_the_port_does_not(spark: SparkSession) -> None:
    called, jvm, gateway = Called(), spark._jvm, spark.sparkContext._gateway
    assert jvm is not None
    assert gateway is not None
    require_token(spark)
    thread = jvm.java.lang.Thread(called)
    thread.start()
    thread.join()
    assert called.times == 1
    name = gateway.gateway_property.pool.put(called)
    port = JavaObject("GATEWAY_SERVER", gateway._gateway_client).getCallbackClient().getPort()
    called.happened.clear()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
        stranger.sendall(f"c\n{name}\nrun\ne\n".encode())
        stranger.settimeout(10)
        with suppress(ConnectionResetError):
            assert stranger.recv(1000) == b""
    assert not called.happened.wait(0.5)


def test_sparks_page_shows_and_does_nothing(spark: SparkSession) -> None:
    conf = spark.sparkContext.getConf()
    assert conf.get("spark.ui.killEnabled") == "false"
    assert conf.get("spark.authenticate") == "true"
