"""How a user logs in to the broker, in the words of each client."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import TieoutError

LEFT = "nothing was read or written."


@dataclass(frozen=True)
class KafkaPlace:
    """Where the broker is, and how its connections are secured: the settings KAFKA_* of the same names.

    Attributes:
        bootstrap: a list of host:port.
        protocol: SASL_PLAINTEXT, SASL_SSL, or SSL, where a certificate is the user.
        mechanism: SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN.
        ca_file: PEM; empty: the certificate authorities of the machine.
        certificate_file: PEM, the user's certificate and those between it and its authority. `{user}` in its path is
            the user's name.
        key_file: PEM, the certificate's private key; `{user}` as before.
        key_password: of the key.
    """

    bootstrap: str
    protocol: str = "SASL_PLAINTEXT"
    mechanism: str = "SCRAM-SHA-256"
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    key_password: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "KafkaPlace":
        """Return the place that settings name; those that are missing have their defaults."""
        return cls(
            values["KAFKA_BOOTSTRAP"],
            values.get("KAFKA_SECURITY_PROTOCOL") or cls.protocol,
            values.get("KAFKA_SASL_MECHANISM") or cls.mechanism,
            values.get("KAFKA_CA_FILE", ""),
            values.get("KAFKA_CERTIFICATE_FILE", ""),
            values.get("KAFKA_KEY_FILE", ""),
            values.get("KAFKA_KEY_PASSWORD", ""),
        )

    @property
    def has_tls(self) -> bool:
        """Whether its connections are encrypted."""
        return self.protocol != "SASL_PLAINTEXT"

    @property
    def has_passwords(self) -> bool:
        """Whether a user is known by a password; by a certificate otherwise."""
        return self.protocol != "SSL"

    def files(self, user: str) -> dict[str, Path]:
        """Return the files that a user's connection needs, by their setting.

        Raises:
            TieoutError: one is not named or cannot be read, or passwords would travel in the clear.
        """
        if not self.has_tls:
            if self.mechanism == "PLAIN":
                raise _wrong("KAFKA_SASL_MECHANISM is PLAIN without TLS: passwords would travel in the clear.",
                             "set KAFKA_SECURITY_PROTOCOL=SASL_SSL in .env")  # fmt: skip
            return {}
        named = {
            "KAFKA_CA_FILE": self.ca_file,
            "KAFKA_CERTIFICATE_FILE": self.certificate_file,
            "KAFKA_KEY_FILE": self.key_file,
        }
        lacking = [name for name in ("KAFKA_CERTIFICATE_FILE", "KAFKA_KEY_FILE") if not named[name]]
        if lacking and (not self.has_passwords or len(lacking) == 1):
            raise _wrong(f"{lacking[0]} is not set, and user {user} would log in by a certificate.",
                         f"set {lacking[0]} in .env to a PEM file")  # fmt: skip
        found = {name: Path(path.replace("{user}", user)) for name, path in named.items() if path}
        for name, path in found.items():
            try:
                with path.open("rb"):
                    pass
            except OSError as error:
                raise _wrong(f"{name} names {path}, which cannot be read: {error.strerror}.",
                             f"put the file there, or correct {name} in .env") from None  # fmt: skip
        return found


def _wrong(what: str, then: str) -> TieoutError:
    return TieoutError(what, LEFT, then)


def librdkafka_login(place: KafkaPlace | str, user: str, password: str) -> dict[str, str]:
    """Return the login as confluent-kafka takes it.

    Args:
        place: of the broker; addresses alone are those of a broker without TLS.
        user: its name.
        password: not used where a certificate is the user.
    """
    place = _place(place)
    names = {
        "KAFKA_CA_FILE": "ssl.ca.location",
        "KAFKA_CERTIFICATE_FILE": "ssl.certificate.location",
        "KAFKA_KEY_FILE": "ssl.key.location",
    }
    login = {"bootstrap.servers": place.bootstrap, "security.protocol": place.protocol}
    login |= {names[setting]: str(path) for setting, path in place.files(user).items()}
    if place.has_tls:
        # Librdkafka's own library looks for the machine's authorities where it was built, and not here.
        login.setdefault("ssl.ca.location", "probe")
    if place.key_file and place.key_password:
        login["ssl.key.password"] = place.key_password
    if place.has_passwords:
        login |= {"sasl.mechanism": place.mechanism, "sasl.username": user, "sasl.password": password}
    return login


def kafka_python_login(place: KafkaPlace | str, user: str, password: str) -> dict[str, Any]:
    """Return the login as kafka-python takes it; arguments as of `librdkafka_login`."""
    place = _place(place)
    names = {"KAFKA_CA_FILE": "ssl_cafile", "KAFKA_CERTIFICATE_FILE": "ssl_certfile", "KAFKA_KEY_FILE": "ssl_keyfile"}
    login = {"bootstrap_servers": place.bootstrap, "security_protocol": place.protocol}
    login |= {names[setting]: str(path) for setting, path in place.files(user).items()}
    if place.key_file and place.key_password:
        login["ssl_password"] = place.key_password
    if place.has_passwords:
        login |= {"sasl_mechanism": place.mechanism, "sasl_plain_username": user, "sasl_plain_password": password}
    return login


def java_login(place: KafkaPlace, user: str, password: str) -> dict[str, str]:
    """Return the login as Kafka's Java client takes it, with the files' contents: executors need not have the files.

    It holds secrets: never log it.
    """
    login = {"bootstrap.servers": place.bootstrap, "security.protocol": place.protocol}
    pem = {setting: path.read_text(encoding="ascii") for setting, path in place.files(user).items()}
    if ca := pem.get("KAFKA_CA_FILE"):
        login |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": ca}
    if key := pem.get("KAFKA_KEY_FILE"):
        chain = pem["KAFKA_CERTIFICATE_FILE"]
        login |= {"ssl.keystore.type": "PEM", "ssl.keystore.key": key, "ssl.keystore.certificate.chain": chain}
        login |= {"ssl.key.password": place.key_password} if place.key_password else {}
    if place.has_passwords:
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        kind = "plain.Plain" if place.mechanism == "PLAIN" else "scram.Scram"
        module = f"org.apache.kafka.common.security.{kind}LoginModule"
        login |= {
            "sasl.mechanism": place.mechanism,
            "sasl.jaas.config": f'{module} required username="{user}" password="{quoted}";',
        }
    return login


def _place(place: KafkaPlace | str) -> KafkaPlace:
    return KafkaPlace(place) if isinstance(place, str) else place
