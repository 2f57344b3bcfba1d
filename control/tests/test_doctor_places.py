"""What doctor says of broker, database and Spark where they are."""

import socket
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from control import doctor
from control.doctor_places import ask_broker, ask_spark, ask_warehouse
from core.errors import TieoutError


@pytest.mark.services
def test_places_that_answer_are_described(services: Any) -> None:
    assert ask_broker(services.env) == f"1 of {services.env['KAFKA_BOOTSTRAP']}, SASL_PLAINTEXT"
    assert ask_warehouse(services.env).startswith("PostgreSQL 18 at 127.0.0.1:")
    found = {each.name: each for each in doctor.examine(services.platform.layout)}
    assert [found[name].ok for name in ("broker", "warehouse", "spark")] == [True, True, True]


@pytest.mark.services
@pytest.mark.parametrize(
    ("ask", "changes", "words"),
    [(ask_broker, {"KAFKA_REPLICATION": "3"}, "1 brokers are there, and KAFKA_REPLICATION is 3"),
     (ask_broker, {"KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "no broker of 127.0.0.1:1"),
     (ask_warehouse, {"POSTGRES_PORT": "1"}, "does not answer"),
     (ask_warehouse, {"POSTGRES_HOST": "localhost"}, "the connection is not encrypted"),
     (ask_spark, {"SPARK_MASTER": "spark://127.0.0.1:1"}, "no master of spark://127.0.0.1:1 answers")],
)  # fmt: skip
def test_a_place_that_does_not_fit_is_named_with_its_setting(
    services: Any, ask: Callable[[Mapping[str, str]], str], changes: dict[str, str], words: str
) -> None:
    with pytest.raises(TieoutError, match=words) as caught:
        ask({**services.env, **changes})
    assert ".env" in caught.value.next or "tieout logs" in caught.value.next


def test_a_master_that_answers_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        address = f"spark://127.0.0.1:1,127.0.0.1:{master.getsockname()[1]}"
        assert ask_spark({"SPARK_MASTER": address}) == f"{address} answers"
    assert ask_spark({"SPARK_MASTER": "k8s://https://x"}) == "k8s://https://x, not asked"
