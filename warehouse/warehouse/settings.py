"""The warehouse's settings: the process environment first, then the home's `.env` where it may be read."""

from psycopg.conninfo import make_conninfo
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import missing_secret
from core.layout import Layout, find_layout


class WarehouseSettings(BaseSettings):
    """What the loader, the proof and the migrations need to know; names as in `.env`."""

    model_config = SettingsConfigDict(extra="ignore")

    postgres_host: str = "127.0.0.1"
    postgres_port: int = 5432
    postgres_db: str = "payments"
    postgres_password_owner: SecretStr | None = None
    postgres_password_loader: SecretStr | None = None
    postgres_password_dbt: SecretStr | None = None
    postgres_password_redrive: SecretStr | None = None
    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_password_loader: SecretStr | None = None
    kafka_password_auditor: SecretStr | None = None
    kafka_password_redrive: SecretStr | None = None
    max_rows_per_load: int = Field(default=500_000, gt=0)
    loader_memory: str = "1GB"
    loader_lock_wait_seconds: float = Field(default=15.0, ge=0)

    def dsn(self, role: str) -> str:
        """Return the connection string of a role.

        Raises:
            TieoutError: the role's password is nowhere to be found.
        """
        name = f"postgres_password_{role}"
        password: SecretStr | None = getattr(self, name)
        if password is None:
            raise missing_secret(name.upper(), "nothing was read or written.")
        return make_conninfo(
            host=self.postgres_host,
            port=self.postgres_port,
            dbname=self.postgres_db,
            user=role,
            password=password.get_secret_value(),
            connect_timeout=10,
            application_name=f"tieout {role}",
        )


def read_settings(layout: Layout | None = None) -> WarehouseSettings:
    """Return the settings of a platform's home."""
    env_file = (layout or find_layout()).readable_env_file
    return WarehouseSettings(_env_file=env_file)  # type: ignore[call-arg]  # pydantic's own argument
