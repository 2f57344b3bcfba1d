"""A broker with TLS, as one elsewhere has it: every client logs in, and says what is wrong with a certificate."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession

from contracts.entities import load_entities
from control import kafka_node
from control.accounts import choose_accounts
from control.offsets import topic_id
from control.testing import free_ports, temporary_home
from control.topics import ensure_topics
from core.errors import TieoutError
from core.kafka_certificates import certificate_trouble
from core.kafka_login import KafkaPlace
from core.layout import find_layout
from core.settings import Settings
from data_generator.delivery import Delivery, producer_settings
from data_generator.stopping import Stop
from live.broker import Broker
from spark_streaming import broker
from warehouse.proof.kafka_records import auditor

pytestmark = pytest.mark.services
USERS = ("admin", "gateway", "stream", "loader", "redrive", "live", "auditor")
TLS = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
LISTENERS = ("CLIENT", "MUTUAL", "EXPIRED", "OTHER")
TOPIC = "transactions"


@dataclass(frozen=True)
class Secured:
    """A running broker: `values` are the settings of a client, `ports` those of its listeners."""

    values: dict[str, str]
    ports: dict[str, int]
    authority: Authority

    def at(self, listener: str, **changes: str) -> dict[str, str]:
        return {**self.values, "KAFKA_BOOTSTRAP": f"127.0.0.1:{self.ports[listener]}", **changes}

    @property
    def by_certificate(self) -> dict[str, str]:
        folder = self.authority.folder
        files = {"KAFKA_CERTIFICATE_FILE": f"{folder}/{{user}}.crt", "KAFKA_KEY_FILE": f"{folder}/{{user}}.key"}
        without = {f"KAFKA_PASSWORD_{user.upper()}": "-" for user in USERS}
        return self.at("MUTUAL", KAFKA_SECURITY_PROTOCOL="SSL", **files, **without)


def settings_of(values: dict[str, str]) -> Settings:
    return Settings(**{name.lower(): value for name, value in values.items()})  # type: ignore[arg-type]


def properties(text: str, authority: Authority, ports: dict[str, int]) -> str:
    """Return a home's server.properties with listeners that have TLS in place of the plain one."""
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    own = f"CONTROLLER://127.0.0.1:{ports['CONTROLLER']}"
    served = ",".join(f"{name}://127.0.0.1:{ports[name]}" for name in LISTENERS)
    kinds = ",".join(f"{name}:{'SSL' if name == 'MUTUAL' else 'SASL_SSL'}" for name in LISTENERS)
    lines |= {
        "listeners": f"{served},{own}",
        "advertised.listeners": served,
        "listener.security.protocol.map": f"{kinds},CONTROLLER:SASL_PLAINTEXT",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "listener.name.mutual.ssl.client.auth": "required",
    }
    for name in LISTENERS:
        hosts = "DNS:elsewhere.example" if name == "OTHER" else "IP:127.0.0.1"
        both = authority.sign(f"broker-{name.lower()}", hosts=hosts, expired=name == "EXPIRED")
        lines[f"listener.name.{name.lower()}.ssl.keystore.type"] = "PEM"
        lines[f"listener.name.{name.lower()}.ssl.keystore.location"] = str(both)
        login = lines["listener.name.client.scram-sha-256.sasl.jaas.config"]
        lines[f"listener.name.{name.lower()}.scram-sha-256.sasl.jaas.config"] = login
    return "".join(f"{name}={value}\n" for name, value in lines.items())


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with temporary_home("tieout-tls-") as home:
        layout = find_layout({"TIEOUT_HOME": str(home)})
        authority = Authority.made(home / "certificates")
        for user in USERS:
            authority.sign(user)
        ports = dict(zip((*LISTENERS, "CONTROLLER"), free_ports(5), strict=True))
        values = {f"KAFKA_PASSWORD_{user.upper()}": secrets.token_urlsafe(12) for user in (*USERS, "broker")}
        values |= {"KAFKA_PORT": str(ports["CLIENT"]), "KAFKA_CONTROLLER_PORT": str(ports["CONTROLLER"])}
        values |= {"KAFKA_BOOTSTRAP": f"127.0.0.1:{ports['CLIENT']}"}
        kafka_node.prepare_broker(layout, choose_accounts(layout), values)
        file = kafka_node.FIRST.properties(layout)
        file.write_text(properties(file.read_text(), authority, ports))
        log = (home / "log").open("wb")
        process = subprocess.Popen(
            kafka_node.broker_command(layout), stdout=log, stderr=log, env={**os.environ, **kafka_node.LOCALE}
        )
        ready = Secured({**values, **TLS, "KAFKA_CA_FILE": str(authority.file)}, ports, authority)
        try:
            kafka_node.wait_for_broker(ready.values)
            ensure_topics(ready.values, load_entities())
            yield ready
        finally:
            process.kill()
            process.wait()


def by_kafka_python(values: dict[str, str]) -> None:
    kafka_node.wait_for_broker(values, 5)


def by_auditor(values: dict[str, str]) -> None:
    with auditor(settings_of(values)) as consumer:
        assert consumer.partitions_for_topic(TOPIC)


def by_gateway(values: dict[str, str]) -> None:
    place, stop = KafkaPlace.of(values), Stop()
    delivery = Delivery(
        producer_settings(place, values["KAFKA_PASSWORD_GATEWAY"], 1 << 20), TOPIC, stop, lambda *_: None, print,
        certificate=partial(certificate_trouble, place, "gateway"),
    )  # fmt: skip
    assert delivery.connect()
    assert delivery.topic_id


def by_live_view(values: dict[str, str]) -> None:
    reader = Broker(settings_of(values), TOPIC)
    try:
        assert reader.topic_id()
    finally:
        reader.close()


def by_spark(spark: SparkSession, patience: int) -> Callable[[dict[str, str]], None]:
    def ask(values: dict[str, str]) -> None:
        settings = settings_of(values).model_copy(update={"kafka_patience_seconds": patience})
        found = broker.look(spark, settings, TOPIC)
        assert found.topic_id
        read = spark.read.format("kafka").options(**broker.source_options(settings)).option("subscribe", TOPIC).load()
        assert read.count() == 0

    return ask


CLIENTS = {"admin": by_kafka_python, "auditor": by_auditor, "gateway": by_gateway, "live": by_live_view}


@pytest.mark.parametrize("how", ["password", "certificate"])
def test_every_client_logs_in_under_tls(secured: Secured, spark: SparkSession, how: str) -> None:
    values = secured.values if how == "password" else secured.by_certificate
    for client in (*CLIENTS.values(), by_spark(spark, 30)):
        client(values)
    ensure_topics(values, load_entities())
    assert topic_id(values, TOPIC)
    assert AdminClient(settings_of(values).kafka_login("live")).list_topics(timeout=5).topics


@pytest.mark.parametrize(
    ("listener", "foreign", "words"),
    [("EXPIRED", False, "has expired"), ("OTHER", False, "is for another host name"),
     ("CLIENT", True, "is signed by nobody")],
    ids=["expired", "other-host", "unknown-authority"],
)  # fmt: skip
def test_each_client_says_what_is_wrong_with_the_brokers_certificate(
    secured: Secured, spark: SparkSession, tmp_path: Path, listener: str, foreign: bool, words: str
) -> None:
    changes = {"KAFKA_CA_FILE": str(Authority.made(tmp_path / "foreign").file)} if foreign else {}
    values = secured.at(listener, **changes)
    for name, client in {**CLIENTS, "stream": by_spark(spark, 2)}.items():
        with pytest.raises(TieoutError, match=words) as caught:
            client(values)
        assert f"127.0.0.1:{secured.ports[listener]}" in caught.value.what, name
        assert "./scripts/tieout doctor" in caught.value.next, name


def test_a_certificate_that_the_broker_does_not_know_is_named_as_ours(secured: Secured, tmp_path: Path) -> None:
    foreign = Authority.made(tmp_path / "foreign")
    for user in USERS:
        foreign.sign(user)
    files = {
        "KAFKA_CERTIFICATE_FILE": f"{foreign.folder}/{{user}}.crt",
        "KAFKA_KEY_FILE": f"{foreign.folder}/{{user}}.key",
    }
    for client in (by_kafka_python, by_live_view):
        with pytest.raises(TieoutError, match="refuses the certificate of user"):
            client({**secured.by_certificate, **files})


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"ca_file": "/nowhere/ca.crt"}, "KAFKA_CA_FILE names /nowhere/ca.crt"),
     ({"protocol": "SSL"}, "KAFKA_CERTIFICATE_FILE is not set"),
     ({"certificate_file": "/nowhere/{user}.crt"}, "KAFKA_KEY_FILE is not set"),
     ({"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN"}, "in the clear")],
)  # fmt: skip
def test_settings_that_do_not_fit_are_named_before_anything_is_asked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TieoutError, match=words) as caught:
        replace(KafkaPlace("127.0.0.1:1", "SASL_SSL"), **changes).files("live")
    assert ".env" in caught.value.next
