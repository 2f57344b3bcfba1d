"""What is no fault of a certificate: a broker that starts, ends, or has no TLS at all."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.kafka_certificates import certificate_trouble
from core.kafka_login import KafkaPlace


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Yield the address of a server that says this to everybody and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x03\x00\x02\x02\x28"], ids=["hangs-up", "handshake-failure"])
def test_a_broker_that_cuts_a_handshake_off_is_asked_again(answer: bytes) -> None:
    with answering(answer) as address:
        assert certificate_trouble(KafkaPlace(address, "SASL_SSL"), "admin") is None


def test_a_broker_that_does_not_answer_is_the_clients_to_name() -> None:
    assert certificate_trouble(KafkaPlace("127.0.0.1:1", "SASL_SSL"), "admin") is None


def test_a_port_without_tls_is_named() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        found = certificate_trouble(KafkaPlace(address, "SASL_SSL"), "admin")
    assert found
    assert "does not speak TLS" in found
