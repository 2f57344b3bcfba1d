"""The stream's settings: process environment first, then the home's `.env`, then these defaults."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.layout import Layout
from spark_streaming.errors import StreamError

SETUP = "./scripts/setup.sh"


class StreamSettings(BaseSettings):
    """Settings of the stream and of maintenance. A field's name in capitals is the variable's name.

    Attributes:
        max_offsets_per_trigger: the most events that one batch takes; bounds the memory that a backlog needs.
        spark_java_options: options for Java beside the stream's own.
        kafka_patience_seconds: how long one question to the broker may take before the broker counts as away.
    """

    model_config = SettingsConfigDict(
        extra="ignore", env_file_encoding="utf-8", env_ignore_empty=True, hide_input_in_errors=True
    )

    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_user_stream: str = "stream"
    kafka_password_stream: SecretStr | None = None
    kafka_security_protocol: str = "SASL_PLAINTEXT"
    kafka_patience_seconds: int = 30

    postgres_host: str = "127.0.0.1"
    postgres_port: int = 5432
    postgres_db: str = "payments"
    postgres_password_reader: SecretStr | None = None

    spark_master: str = "local[2]"
    spark_driver_memory: str = "1500m"
    spark_java_options: str = ""
    spark_ui_port: int = 4040
    max_offsets_per_trigger: int = 200_000


def load_settings(layout: Layout) -> StreamSettings:
    """Return the settings of the platform at `layout`."""
    return StreamSettings(_env_file=layout.readable_env_file)  # type: ignore[call-arg]  # pydantic's own argument


def secret(value: SecretStr | None, name: str, layout: Layout) -> str:
    """Return a password, or say where it was looked for.

    Raises:
        StreamError: neither the environment nor the `.env` file has it.
    """
    if value is None:
        raise StreamError(
            f"{name} is not set: looked in the process environment, then in {layout.env_file}.",
            "nothing was started or written.",
            SETUP,
        )
    return value.get_secret_value()
