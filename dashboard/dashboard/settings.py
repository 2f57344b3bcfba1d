"""The dashboard's settings: the process environment first, then the home's `.env` where it may be read."""

from psycopg.conninfo import make_conninfo
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import missing_secret
from core.layout import Layout, find_layout


class DashboardSettings(BaseSettings):
    """What the dashboard knows: one database role that only reads, and the token asked for at its door."""

    model_config = SettingsConfigDict(extra="ignore")

    postgres_host: str = "127.0.0.1"
    postgres_port: int = 5432
    postgres_db: str = "payments"
    postgres_password_reader: SecretStr | None = None
    dashboard_address: str = "127.0.0.1"
    dashboard_port: int = 8501
    dashboard_token: SecretStr | None = None
    dashboard_stale_after_seconds: int = Field(default=3600, gt=0)

    def dsn(self) -> str:
        """Return the connection string of the role reader.

        Raises:
            TieoutError: its password is nowhere to be found.
        """
        return make_conninfo(
            host=self.postgres_host,
            port=self.postgres_port,
            dbname=self.postgres_db,
            user="reader",
            password=_required("POSTGRES_PASSWORD_READER", self.postgres_password_reader),
            connect_timeout=5,
            application_name="tieout dashboard",
            options="-c statement_timeout=10s -c default_transaction_read_only=on -c timezone=UTC",
        )

    def token(self) -> str:
        """Return what a visitor has to know.

        Raises:
            TieoutError: there is none, and without it nobody is let in.
        """
        return _required("DASHBOARD_TOKEN", self.dashboard_token)


def _required(name: str, value: SecretStr | None) -> str:
    if value is None or not value.get_secret_value():
        raise missing_secret(name, "nothing was read.")
    return value.get_secret_value()


def read_settings(layout: Layout | None = None) -> DashboardSettings:
    """Return the settings of a platform's home."""
    env_file = (layout or find_layout()).readable_env_file
    return DashboardSettings(_env_file=env_file)  # type: ignore[call-arg]  # pydantic's own argument
