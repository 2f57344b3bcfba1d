"""The live view's settings: the process environment first, then the home's `.env` where it may be read."""

from psycopg.conninfo import make_conninfo
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import missing_secret
from core.kafka_login import librdkafka_login
from core.layout import Layout, find_layout


class LiveSettings(BaseSettings):
    """What the engine knows: one Kafka user, one database role, how much it takes at once and how long it keeps it.

    Attributes:
        live_batch_events: the most events of one database transaction.
        live_linger_ms: how long a batch waits for more events; half of it is added to the usual delay.
        live_keep_payments_hours: payments that silver has are forgotten when they arrived longer ago.
        live_keep_seconds: how long counts by second are kept.
        live_keep_alerts_days: how long alerts are kept.
    """

    model_config = SettingsConfigDict(extra="ignore")

    postgres_host: str = "127.0.0.1"
    postgres_port: int = 5432
    postgres_db: str = "payments"
    postgres_password_live: SecretStr | None = None
    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_password_live: SecretStr | None = None
    live_batch_events: int = Field(default=2_000, gt=0)
    live_linger_ms: int = Field(default=100, gt=0)
    live_keep_payments_hours: int = Field(default=72, gt=0)
    live_keep_seconds: int = Field(default=3_600, gt=0)
    live_keep_alerts_days: int = Field(default=90, gt=0)

    def dsn(self) -> str:
        """Return the connection string of the role live.

        Raises:
            TieoutError: its password is nowhere to be found.
        """
        return make_conninfo(
            host=self.postgres_host,
            port=self.postgres_port,
            dbname=self.postgres_db,
            user="live",
            password=_required("POSTGRES_PASSWORD_LIVE", self.postgres_password_live),
            connect_timeout=10,
            application_name="tieout live",
            options="-c timezone=UTC",
        )

    def kafka_login(self) -> dict[str, str]:
        """Return what librdkafka needs to log in as the user live.

        Raises:
            TieoutError: its password is nowhere to be found.
        """
        password = _required("KAFKA_PASSWORD_LIVE", self.kafka_password_live)
        return librdkafka_login(self.kafka_bootstrap, "live", password)


def _required(name: str, value: SecretStr | None) -> str:
    if value is None or not value.get_secret_value():
        raise missing_secret(name, "nothing was read or written.")
    return value.get_secret_value()


def read_settings(layout: Layout | None = None) -> LiveSettings:
    """Return the settings of a platform's home."""
    env_file = (layout or find_layout()).readable_env_file
    return LiveSettings(_env_file=env_file)  # type: ignore[call-arg]  # pydantic's own argument
