"""The gateway's settings: the process environment first, then the home's `.env` where it may be read."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.layout import Layout, find_layout
from data_generator.errors import SettingMissingError


class GatewaySettings(BaseSettings):
    """What the gateway needs to know; a field's name in capitals is the variable's name."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_password_gateway: SecretStr | None = None
    card_hash_key: SecretStr | None = None
    producer_rate: float = Field(default=5, gt=0)

    def secret(self, name: str) -> str:
        """Return a secret by its variable's name.

        Raises:
            SettingMissingError: it is set nowhere, or empty.
        """
        value: SecretStr | None = getattr(self, name.lower())
        if value is None or not value.get_secret_value():
            raise SettingMissingError(name, f"the environment and {find_layout().env_file}")
        return value.get_secret_value()


def read_settings(layout: Layout | None = None) -> GatewaySettings:
    """Return the settings of a platform's home."""
    env_file = (layout or find_layout()).readable_env_file
    return GatewaySettings(_env_file=env_file)  # type: ignore[call-arg]  # pydantic's own argument
