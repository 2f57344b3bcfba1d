"""Every setting of a platform, once: its name, its default, its meaning. `.env.example` is rendered from here.

A field's name in capitals is the variable's name. The process environment wins over the home's `.env`, which is
read only where this account may read it: a service has what it needs in its environment. An empty value is no value.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.env_file import read_env_file
from core.errors import TieoutError
from core.layout import Layout, find_layout
from core.setting_kinds import WRITTEN, kind_of
from core.setting_kinds import empty as _empty
from core.setting_kinds import given as _given
from core.setting_kinds import ours as _ours
from core.setting_kinds import secret as _secret
from core.setting_kinds import written as _written
from core.setting_logins import Logins
from core.setting_types import DuckdbMemory, JavaMemory, LakeEndpoint, LakeUrl, Port, Span

# A socket's folder, an address, or a name whose parts are not empty.
_HOST = r"^(/[^\x00]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*\.?)$"


class Settings(Logins, BaseSettings):
    """What the components of a platform need to know. Each process has the secrets of its own part only."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    kafka_bootstrap: str = _written("127.0.0.1:9092")
    kafka_security_protocol: Literal["SASL_PLAINTEXT", "SASL_SSL", "SSL"] = _empty(
        "SASL_PLAINTEXT",
        "How a broker elsewhere is spoken to: SASL_SSL is passwords under TLS, SSL a client certificate for each user. "
        "The broker of ./scripts/start.sh speaks SASL_PLAINTEXT, on 127.0.0.1 only.",
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = _empty("SCRAM-SHA-256")
    kafka_ca_file: str = _empty(
        "", "PEM file of the authorities that sign the brokers' certificates; those of the machine without any."
    )
    kafka_certificate_file: str = _empty(
        "",
        "PEM files of certificate and private key that users log in with under SSL. {user} in the path is the user's "
        "name, as in /etc/tieout/{user}.crt.",
    )
    kafka_key_file: str = _empty("")
    kafka_key_password: SecretStr | None = _given("Password of the key files, if they have one.")
    kafka_port: Port = _written(9092)
    kafka_controller_port: Port = _written(9093)
    kafka_password_broker: SecretStr | None = _secret(
        "SCRAM-SHA-256 users. broker and admin are super users, the others have only the rights of their part: gateway "
        "and redrive each write transactions and their own topic of control totals; loader reads those; stream reads "
        "transactions; live reads transactions and writes alerts; auditor reads all."
    )
    kafka_password_admin: SecretStr | None = _secret()
    kafka_password_gateway: SecretStr | None = _secret()
    kafka_password_stream: SecretStr | None = _secret()
    kafka_password_loader: SecretStr | None = _secret()
    kafka_password_redrive: SecretStr | None = _secret()
    kafka_password_live: SecretStr | None = _secret()
    kafka_password_auditor: SecretStr | None = _secret()
    kafka_replication: int = _empty(
        1,
        "Brokers that keep each new topic, and how many of them must have an event before it counts as delivered.",
        ge=1,
        le=7,
    )
    kafka_min_insync: int = _empty(1, ge=1, le=7)
    kafka_patience_seconds: int = _ours(
        30, "How long one question to the broker may take before it counts as away.", gt=0, le=86_400
    )

    postgres_host: str = _written("127.0.0.1", pattern=_HOST)
    postgres_port: Port = _written(5432)
    postgres_db: str = _written("payments")
    postgres_sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = _empty(
        "prefer",
        "How connections to a database elsewhere are secured, as libpq calls it; verify-full is the one to use over a "
        "network. The database of ./scripts/start.sh has no TLS, on 127.0.0.1 only.",
    )
    postgres_ca_file: str = _empty("", "PEM file of the authorities that verify-ca and verify-full go by.")
    postgres_certificate_file: str = _empty(
        "",
        "PEM files of a client certificate and its key, where the server asks for one. {role} in the path is the "
        "role's name.",
    )
    postgres_key_file: str = _empty("")
    postgres_password_postgres: SecretStr | None = _secret(
        "Roles: postgres makes roles and databases, owner owns the schemas, loader writes silver, dbt makes the marts, "
        "reader reads marts, metadata and the live view, redrive puts dead letters back, ingest keeps which files were "
        "sent, live keeps the live view, patterns keeps what chunks hold and what was detected in them, "
        "stream holds the lease of a lake elsewhere and reads nothing, "
        "airflow has a database of its own."
    )
    postgres_password_owner: SecretStr | None = _secret()
    postgres_password_loader: SecretStr | None = _secret()
    postgres_password_dbt: SecretStr | None = _secret()
    postgres_password_reader: SecretStr | None = _secret()
    postgres_password_redrive: SecretStr | None = _secret()
    postgres_password_ingest: SecretStr | None = _secret()
    postgres_password_live: SecretStr | None = _secret()
    postgres_password_patterns: SecretStr | None = _secret()
    postgres_password_stream: SecretStr | None = _secret()
    postgres_password_airflow: SecretStr | None = _secret()

    card_hash_key: SecretStr | None = _secret(
        "Key of the hash that stands in for card numbers. Another key makes other customer ids out of the same file."
    )
    producer_rate: float = _written(
        5, "Payments a second of the continuous producer.", gt=0, le=1_000_000, allow_inf_nan=False
    )

    spark_ui_port: Port = _written(4040)
    spark_master: str = _written("local[2]")
    spark_driver_memory: JavaMemory = _written("1500m")
    spark_auth_secret: SecretStr | None = _secret(
        "What the stream and the executors of a SPARK_MASTER at spark:// know each other by."
    )
    spark_executor_memory: JavaMemory = _empty(
        "700m", "Heap of an executor, and cores of all executors, where SPARK_MASTER is no local one."
    )
    spark_executor_cores: int = _empty(2, gt=0, le=10_000)
    spark_driver_host: str = _empty(
        "127.0.0.1",
        "Where executors on other machines find the stream, and the address that it listens on; a setting of another "
        "machine encrypts what they say to each other.",
        pattern=_HOST,
    )
    spark_driver_bind: str = _empty("127.0.0.1", pattern=_HOST)
    spark_python_archive: str = _empty(
        "", "File of ./scripts/tieout pack with the Python of executors; without it they have this checkout's, here."
    )
    max_offsets_per_trigger: int = _empty(
        200_000,
        "The most events that one batch of the stream takes; bounds the memory that a backlog needs.",
        gt=0,
        le=10**9,
    )
    spark_java_options: str = _empty(
        "",
        "Options for the stream's Java, added to its own; a compiler or a collector among them replaces its own.",
    )

    lake_url: LakeUrl = _empty(
        "file:data",
        "Where the lake is: file: and a folder, which may begin at the home, or s3://bucket/prefix. Only "
        "./scripts/tieout lake move takes what is there along.",
    )
    lake_endpoint: LakeEndpoint = _empty("", "Address of the S3 store; Amazon's without any.")
    lake_region: str = _empty("us-east-1", pattern="^[a-z0-9-]{1,40}$")
    lake_access_key: SecretStr | None = _given(
        "Keys of an account that may list, read, write and delete below LAKE_URL; without any, those of the machine."
    )
    lake_secret_key: SecretStr | None = _given()

    run_every_seconds: float = _written(
        20,
        "Seconds from the begin of one round of `tieout run --follow` to the begin of the next.",
        gt=0,
        le=86_400 * 31,
        allow_inf_nan=False,
    )
    max_rows_per_load: int = _written(500_000, gt=0, le=10**9)
    bronze_max_age: Span = _empty("26h", "How old the newest rows of the lake may be when the pipeline begins.")
    loader_memory: DuckdbMemory = _empty("1GB", "Memory of the loader before it spills to disk.")
    loader_lock_wait_seconds: float = _empty(
        15, "Seconds to wait for another loader.", ge=0, le=86_400, allow_inf_nan=False
    )

    loop: Literal["airflow", "follow", "off"] = _written(
        "airflow",
        "What repeats the way from the lake to the marts: airflow, follow (one warm process, `tieout run --follow`) or "
        "off.",
    )
    pipeline_schedule: str = _written("*/5 * * * *", "When Airflow runs the pipeline, as cron says it; `off` is never.")
    airflow_port: Port = _written(8080)
    airflow_keep_days: int = _written(
        7, "Runs and task logs that are older are deleted once a day, by the service airflow-tidy.", gt=0, le=36_525
    )
    airflow_fernet_key: SecretStr | None = _secret(
        "Keys with which Airflow encrypts its stored connections, signs its sessions, and signs its tasks' tokens."
    )
    airflow_api_secret: SecretStr | None = _secret()
    airflow_jwt_secret: SecretStr | None = _secret()
    airflow_password_admin: SecretStr | None = _secret("Airflow's two users: admin may do everything, viewer looks.")
    airflow_password_viewer: SecretStr | None = _secret()
    full_tests_every_hours: float = _empty(
        20, "Hours after which a run reads the whole marts again in its tests.", ge=0, le=1_000_000, allow_inf_nan=False
    )
    incident_webhook_url: str = _empty("", "Gets a JSON message for each failed task.")
    docs_port: Port = _written(8081, "The lineage site.")

    live_batch_events: int = _empty(2_000, "The most events of one database transaction.", gt=0, le=1_000_000)
    live_linger_ms: int = _empty(
        100, "Milliseconds that a batch waits for more; half of it joins the delay.", gt=0, le=600_000
    )
    live_keep_payments_hours: int = _empty(
        72, "Payments that silver has are forgotten after so many hours.", gt=0, le=1_000_000
    )
    live_keep_seconds: int = _empty(3_600, "Counts by second are forgotten after so many seconds.", gt=0, le=10**9)
    live_keep_alerts_days: int = _empty(90, "Alerts are forgotten after so many days.", gt=0, le=100_000)

    dashboard_address: str = _ours("127.0.0.1", "Where the pages listen.")
    dashboard_port: Port = _written(8501)
    dashboard_token: SecretStr | None = _secret(
        "What a visitor has to know; ./scripts/start.sh prints the address with it."
    )
    dashboard_stale_after_seconds: int = _empty(
        3_600, "Payments that were loaded longer ago are shown as stale.", gt=0, le=10**9
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the signature is pydantic-settings')
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given and nothing else: `load_settings` alone reads the environment and `.env`."""
        return (init_settings,)


def names(*kinds: str) -> tuple[str, ...]:
    """Return the variables of some kinds, in their order."""
    return tuple(name.upper() for name, field in Settings.model_fields.items() if kind_of(field) in kinds)


def written_defaults() -> dict[str, str]:
    """Return what set-up writes into `.env`, the secrets apart."""
    fields = Settings.model_fields.items()
    return {name.upper(): str(field.default) for name, field in fields if kind_of(field) == WRITTEN}


def load_settings(layout: Layout | None = None) -> Settings:
    """Return the settings of a platform: the process environment, then the home's `.env`, then the defaults.

    Raises:
        TieoutError: a value is not what its variable needs.
    """
    layout = layout or find_layout()
    readable = layout.readable_env_file
    found = read_env_file(readable) if readable else {}
    return parse_settings(found | {name: value for name, value in os.environ.items() if value}, layout)


def parse_settings(values: Mapping[str, str], layout: Layout) -> Settings:
    """Return settings out of variables; those that are not there have their defaults.

    Args:
        values: by the variable's name.
        layout: of the platform, for the error.

    Raises:
        TieoutError: a value is not what its variable needs. The error does not repeat the value.
    """
    given: dict[str, Any] = {name: values[name.upper()] for name in Settings.model_fields if name.upper() in values}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper()
        raise TieoutError(
            f"{name} is not as it should be: {first['msg']}.",
            "nothing was started or changed.",
            f"set {name} in {layout.env_file} or in the environment; .env.example says what it is",
        ) from None
