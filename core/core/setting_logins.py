"""How the settings become logins: of a role in the warehouse, and of a user at the broker."""

from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from core.errors import missing_secret
from core.kafka_login import KafkaPlace, librdkafka_login
from core.postgres_login import PostgresTls


class Logins:
    """What `Settings` can say of logins; the fields are there."""

    if TYPE_CHECKING:
        kafka_bootstrap: str
        kafka_security_protocol: str
        kafka_sasl_mechanism: str
        kafka_ca_file: str
        kafka_certificate_file: str
        kafka_key_file: str
        kafka_key_password: SecretStr | None
        postgres_host: str
        postgres_port: int
        postgres_db: str
        postgres_sslmode: str
        postgres_ca_file: str
        postgres_certificate_file: str
        postgres_key_file: str

    def secret(self, name: str, left: str = "nothing was read or written.") -> str:
        """Return a secret by its variable's name.

        Raises:
            TieoutError: it is set nowhere.
        """
        value: SecretStr | None = getattr(self, name.lower())
        if value is None or not value.get_secret_value():
            raise missing_secret(name.upper(), left)
        return value.get_secret_value()

    def dsn(self, role: str, *, application: str = "", connect_timeout: int = 10, options: str = "") -> str:
        """Return the connection string of a role of the warehouse.

        Args:
            role: its name.
            application: what the database shows; "tieout" and the role without it.
            connect_timeout: seconds.
            options: of the session, such as "-c timezone=UTC".

        Raises:
            TieoutError: the role's password is nowhere to be found.
        """
        return make_conninfo(
            host=self.postgres_host,
            port=self.postgres_port,
            dbname=self.postgres_db,
            user=role,
            password=self.secret(f"POSTGRES_PASSWORD_{role.upper()}"),
            connect_timeout=connect_timeout,
            application_name=application or f"tieout {role}",
            **self.postgres_tls.parameters(role),
            **({"options": options} if options else {}),
        )

    @property
    def postgres_tls(self) -> PostgresTls:
        """How connections to the warehouse are secured."""
        return PostgresTls(
            self.postgres_sslmode, self.postgres_ca_file, self.postgres_certificate_file, self.postgres_key_file
        )

    @property
    def kafka_place(self) -> KafkaPlace:
        """Where the broker is, and how its connections are secured."""
        return KafkaPlace(
            self.kafka_bootstrap,
            self.kafka_security_protocol,
            self.kafka_sasl_mechanism,
            self.kafka_ca_file,
            self.kafka_certificate_file,
            self.kafka_key_file,
            self.kafka_key_password.get_secret_value() if self.kafka_key_password else "",
        )

    def kafka_password(self, user: str, left: str = "nothing was read or written.") -> str:
        """Return the password of a user of the broker; none where a certificate is the user.

        Raises:
            TieoutError: it is set nowhere.
        """
        return self.secret(f"KAFKA_PASSWORD_{user.upper()}", left) if self.kafka_place.has_passwords else ""

    def kafka_login(self, user: str) -> dict[str, str]:
        """Return what librdkafka needs to log in as a user.

        Raises:
            TieoutError: the user's password or a file is nowhere to be found.
        """
        return librdkafka_login(self.kafka_place, user, self.kafka_password(user))
