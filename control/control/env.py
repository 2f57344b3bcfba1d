"""The settings file `<home>/.env`: generated secrets and ports. Values that stand there are never overwritten."""

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from control.locks import exclusive
from core.errors import TieoutError
from core.layout import Layout

KAFKA_USERS = ("BROKER", "ADMIN", "GATEWAY", "STREAM", "LOADER", "REDRIVE", "LIVE", "AUDITOR")
POSTGRES_ROLES = ("POSTGRES", "OWNER", "LOADER", "DBT", "READER", "REDRIVE", "LIVE", "AIRFLOW")

SECRETS = (
    *(f"KAFKA_PASSWORD_{user}" for user in KAFKA_USERS),
    *(f"POSTGRES_PASSWORD_{role}" for role in POSTGRES_ROLES),
    "CARD_HASH_KEY",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_API_SECRET",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_PASSWORD_ADMIN",
    "AIRFLOW_PASSWORD_VIEWER",
    "DASHBOARD_TOKEN",
)

DEFAULTS = {
    "KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "KAFKA_PORT": "9092",
    "KAFKA_CONTROLLER_PORT": "9093",
    "POSTGRES_HOST": "127.0.0.1",
    "POSTGRES_PORT": "5432",
    "POSTGRES_DB": "payments",
    "SPARK_UI_PORT": "4040",
    "SPARK_MASTER": "local[2]",
    "SPARK_DRIVER_MEMORY": "1500m",
    "LOOP": "airflow",
    "PIPELINE_SCHEDULE": "*/5 * * * *",
    "AIRFLOW_PORT": "8080",
    "AIRFLOW_KEEP_DAYS": "7",
    "DOCS_PORT": "8081",
    "DASHBOARD_PORT": "8501",
    "PRODUCER_RATE": "5",
    "RUN_EVERY_SECONDS": "20",
    "MAX_ROWS_PER_LOAD": "500000",
}

OPTIONAL = (
    "MAX_OFFSETS_PER_TRIGGER",
    "SPARK_JAVA_OPTIONS",
    "LOADER_MEMORY",
    "LOADER_LOCK_WAIT_SECONDS",
    "INCIDENT_WEBHOOK_URL",
    "BRONZE_MAX_AGE",
    "FULL_TESTS_EVERY_HOURS",
    "DASHBOARD_STALE_AFTER_SECONDS",
    "LIVE_BATCH_EVENTS",
    "LIVE_LINGER_MS",
    "LIVE_KEEP_PAYMENTS_HOURS",
    "LIVE_KEEP_SECONDS",
    "LIVE_KEEP_ALERTS_DAYS",
)

HEADER = "# Settings and secrets of this platform; .env.example says what each is.\n"

NAMES = frozenset({*SECRETS, *DEFAULTS, *OPTIONAL})


def read_env(path: Path) -> dict[str, str]:
    """Return the settings of a file; those without a value are left out.

    Raises:
        TieoutError: the file belongs to someone else.
    """
    if not path.exists():
        return {}
    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
    except PermissionError as error:
        raise TieoutError(
            f"{path} cannot be read: it belongs to user id {path.stat().st_uid}, this is {os.geteuid()}.",
            "nothing was changed.",
            "run the command as the user who ran ./scripts/setup.sh",
        ) from error


def ensure_env(layout: Layout) -> dict[str, str]:
    """Write the settings that the home's file lacks, and return all of them.

    Secrets are drawn anew, each on its own; the file has mode 600 and belongs to whoever ran the first set-up.
    """
    layout.home.mkdir(parents=True, exist_ok=True)
    layout.state.mkdir(exist_ok=True)
    with exclusive(layout.state / "env.lock", "another set-up"):
        present = read_env(layout.env_file)
        missing = {name: _draw(name) for name in SECRETS if name not in present}
        missing |= {name: value for name, value in DEFAULTS.items() if name not in present}
        if missing:
            _replace_lines(layout.env_file, missing)
        elif layout.env_file.stat().st_mode & 0o077:
            layout.env_file.chmod(0o600)
    return present | missing


def _draw(name: str) -> str:
    """Return a new secret; a Fernet key is 32 bytes in a form of its own."""
    if name == "AIRFLOW_FERNET_KEY":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(24)


def change_env(layout: Layout, values: Mapping[str, str]) -> None:
    """Set values that the platform itself decides, such as a port that was taken."""
    with exclusive(layout.state / "env.lock", "another set-up"):
        _replace_lines(layout.env_file, values)


def settings(layout: Layout, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return every setting: the process environment first, then the home's file.

    Raises:
        TieoutError: the file is not there or lacks settings.
    """
    environ = os.environ if environ is None else environ
    found = read_env(layout.env_file) | {name: environ[name] for name in NAMES if environ.get(name)}
    lacking = sorted(name for name in (*SECRETS, *DEFAULTS) if name not in found)
    if lacking:
        raise TieoutError(
            f"{layout.env_file} lacks {len(lacking)} settings, {lacking[0]} first.",
            "nothing was changed.",
            "./scripts/setup.sh writes what is missing and keeps what is there",
        )
    return found


def _replace_lines(path: Path, values: Mapping[str, str]) -> None:
    """Set lines of the file: one write beside it and one rename, so that nobody reads half a file."""
    old = path.read_text(encoding="utf-8") if path.exists() else HEADER
    rest = [line for line in old.splitlines() if line.partition("=")[0].strip() not in values]
    text = "\n".join([*rest, *(f"{name}={value}" for name, value in values.items())]) + "\n"
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        if path.exists() and os.geteuid() == 0:
            os.fchown(file.fileno(), path.stat().st_uid, path.stat().st_gid)
    beside.replace(path)
