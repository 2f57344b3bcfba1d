"""A broker of this home: a KRaft node with SCRAM users and no anonymous access; its files, its command, its health."""

import base64
import hashlib
import os
import secrets
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from control.accounts import Accounts, as_user, own_file, own_folder
from core.errors import TieoutError
from core.kafka_certificates import certificate_error
from core.kafka_login import KafkaPlace
from core.layout import Layout

MECHANISM = "SCRAM-SHA-256"
ITERATIONS = 8192

# C1 only: starts in half the time and took the same 150-190 k messages/s. 256 MB: 190 MB when idle, 128 MB had no
# errors either. Both measured 2026-11-21 on 2 cores.
JVM = ("-Xms128m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")

PROPERTIES = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{client}
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
sasl.enabled.mechanisms=SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
listener.name.client.scram-sha-256.sasl.jaas.config={login}
{quorum}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:broker
allow.everyone.if.no.acl.found=false
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
min.insync.replicas={insync}
offsets.topic.replication.factor={replication}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={insync}
transaction.state.log.num.partitions=4
# Readers of committed events wait for an open transaction, and so does everything that came after it: not for longer.
transaction.max.timeout.ms=60000
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={insync}
group.initial.rebalance.delay.ms=0
log.retention.hours=168
log.segment.bytes=134217728
num.network.threads=2
num.io.threads=4
# After a kill -9 the old registration must time out first: 9 s by default, ready in 4.9 s instead of 11.7 s with 3.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.dirs={data}
"""
# The services have this locale: in another one Java cannot name a folder whose path is not ASCII.
LOCALE = {"LC_ALL": "C.UTF-8"}

LOGGING = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <Console name="out" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} %-5p %c{1}: %m%n"/></Console>
  </Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True)
class Node:
    """A broker of a home, which is a controller too.

    Attributes:
        number: 1 for the first one.
    """

    number: int = 1

    @property
    def name(self) -> str:
        """Its service's name."""
        return self._numbered("kafka", "-")

    @property
    def port(self) -> str:
        """The setting of the port for clients."""
        return f"{self._numbered('KAFKA', '_')}_PORT"

    @property
    def controller_port(self) -> str:
        """The setting of the port for the other controllers."""
        return f"{self._numbered('KAFKA', '_')}_CONTROLLER_PORT"

    def folder(self, layout: Layout) -> Path:
        """Return where its configuration is."""
        return layout.state / self._numbered("broker", "-")

    def data(self, layout: Layout) -> Path:
        """Return where its log is."""
        return layout.kafka_data.with_name(self._numbered(layout.kafka_data.name, "-"))

    def properties(self, layout: Layout) -> Path:
        """Return its configuration."""
        return self.folder(layout) / "server.properties"

    def _numbered(self, word: str, sign: str) -> str:
        return word if self.number == 1 else f"{word}{sign}{self.number}"


FIRST = Node()
ALONE = (FIRST,)


def render_properties(
    layout: Layout, settings: Mapping[str, str], node: Node = FIRST, nodes: Sequence[Node] = ALONE
) -> str:
    """Return server.properties; it holds the broker's own password.

    Args:
        node: whose.
        nodes: all that make up the cluster.
    """
    password = settings["KAFKA_PASSWORD_BROKER"]
    login = f'username="broker" password="{password}"'
    scram_login = _property(f"org.apache.kafka.common.security.scram.ScramLoginModule required {login};")
    quorum = {
        "sasl.mechanism.controller.protocol": MECHANISM,
        f"listener.name.controller.{MECHANISM.lower()}.sasl.jaas.config": scram_login,
    }
    if len(nodes) > 1:
        # Users of SCRAM are in the log that the controllers have to agree on first: they need a login without it.
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        quorum = {
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": _property(f'{module} {login} user_broker="{password}";'),
        }
    return PROPERTIES.format(
        number=node.number,
        voters=",".join(f"{each.number}@127.0.0.1:{settings[each.controller_port]}" for each in nodes),
        client=settings[node.port],
        controller=settings[node.controller_port],
        login=scram_login,
        quorum="\n".join(f"{name}={value}" for name, value in quorum.items()),
        replication=len(nodes),
        insync=len(nodes) // 2 + 1,
        data=_property(node.data(layout)),
    )


def _property(value: object) -> str:
    """Return a value as a Java file of properties has it: a backslash doubled, and what is not ASCII as escapes."""
    utf_16 = str(value).replace("\\", "\\\\").encode("utf-16-be")
    units = (int.from_bytes(utf_16[place : place + 2]) for place in range(0, len(utf_16), 2))
    return "".join(chr(unit) if 32 <= unit < 127 else f"\\u{unit:04x}" for unit in units)


def prepare_broker(
    layout: Layout,
    accounts: Accounts,
    settings: Mapping[str, str],
    node: Node = FIRST,
    nodes: Sequence[Node] = ALONE,
) -> None:
    """Write the configuration, and format the log folder once. The first node comes first: it names the cluster.

    Raises:
        TieoutError: the JARs are missing, the log folder could not be formatted, or the settings ask this broker for
            what only one elsewhere has.
    """
    if KafkaPlace.of(settings).has_tls or KafkaPlace.of(settings).mechanism != MECHANISM:
        raise TieoutError(
            f"the broker of this home speaks SASL_PLAINTEXT with {MECHANISM} alone, and the settings ask for another.",
            "no service was started.",
            "take KAFKA_SECURITY_PROTOCOL and KAFKA_SASL_MECHANISM out of .env, or name your own broker in "
            "KAFKA_BOOTSTRAP",
        )
    own_folder(node.folder(layout), accounts.services, 0o700)
    own_folder(node.data(layout), accounts.services, 0o700)
    own_file(node.properties(layout), render_properties(layout, settings, node, nodes), accounts.services)
    own_file(node.folder(layout) / "log4j2.xml", LOGGING, accounts.services)
    if not (node.data(layout) / "meta.properties").exists():
        _format(layout, accounts, settings, node)


def _cluster_id(layout: Layout) -> str:
    """Return the id of the cluster that this home has; a new one where it has none yet."""
    known = layout.kafka_data / "meta.properties"
    lines = known.read_text(encoding="ascii").splitlines() if known.exists() else []
    cluster = next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), "-")
    while cluster.startswith("-"):  # the tool would take it for an option
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return cluster


def _format(layout: Layout, accounts: Accounts, settings: Mapping[str, str], node: Node) -> None:
    # A salted password is all that a client needs to log in: the arguments go by a file, not by the process list.
    words = ["format", "-t", _cluster_id(layout), "-c", str(node.properties(layout))]
    for user in ("admin", "broker"):
        words += ["--add-scram", scram(user, settings[f"KAFKA_PASSWORD_{user.upper()}"])]
    arguments = node.folder(layout) / "format.arguments"
    own_file(arguments, "\n".join(words) + "\n", accounts.services)
    command = [*_java(layout, node), "kafka.tools.StorageTool", f"@{arguments}"]
    # Its standard output lists the users' keys: it goes nowhere.
    done = subprocess.run(  # type: ignore[call-overload]
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, **LOCALE},
        **as_user(accounts.services),
    )
    arguments.unlink()
    if done.returncode != 0 or not (node.data(layout) / "meta.properties").exists():
        why = [line for line in (done.stderr or "").splitlines() if line.strip() and not line.startswith("SLF4J")]
        raise TieoutError(
            f"the broker's log folder {node.data(layout)} could not be formatted: {why[0] if why else 'no message'}",
            "no service was started.",
            "./scripts/tieout doctor",
        )


def scram(user: str, password: str) -> str:
    """Return a user as StorageTool takes it: salted, so that no password is ever in a process list."""
    salt = secrets.token_bytes(18)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    parts = {"salt": base64.b64encode(salt).decode(), "saltedpassword": base64.b64encode(salted).decode()}
    inner = ",".join(f'{name}="{value}"' for name, value in parts.items())
    return f"{MECHANISM}=[name={user},{inner},iterations={ITERATIONS}]"


def _java(layout: Layout, node: Node) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={(node.folder(layout) / 'log4j2.xml').as_uri()}"
    return ["java", *JVM, logging, "-cp", f"{layout.jars / 'broker'}/*"]


def broker_command(layout: Layout, node: Node = FIRST) -> list[str]:
    """Return the command that is the broker."""
    return [*_java(layout, node), "kafka.Kafka", str(node.properties(layout))]


def wait_for_broker(settings: Mapping[str, str], seconds: float = 60, brokers: int = 1) -> None:
    """Return when the broker answers an administrator, and knows so many brokers.

    Raises:
        TieoutError: it does not within the time; the last refusal is named.
    """
    from kafka.errors import KafkaError

    from control.topics import administrator

    deadline, last = time.monotonic() + seconds, "no answer"
    while time.monotonic() < deadline:
        try:
            with administrator(settings) as admin:
                admin.list_topics()
                there = len(admin.describe_cluster()["brokers"]) if brokers > 1 else 1
                if there >= brokers:
                    return
                last = f"{there} of {brokers} brokers are there"
        except (KafkaError, OSError, AssertionError) as error:
            last = str(error) or type(error).__name__
            left = "the services that were started still run."
            if wrong := certificate_error(KafkaPlace.of(settings), "admin", left):
                raise wrong from error
        time.sleep(0.3)
    raise TieoutError(
        f"kafka is not ready after {seconds:.0f} s: {last} on {settings['KAFKA_BOOTSTRAP']}.",
        "the services that were started still run.",
        "./scripts/tieout logs kafka, or ./scripts/tieout doctor",
    )
