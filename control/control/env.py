"""The settings file `<home>/.env`: generated secrets and ports. Values that stand there are never overwritten."""

import base64
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from control.accounts import choose_accounts
from control.locks import exclusive
from control.usable import require_usable_paths, require_usable_settings
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
        TieoutError: the file belongs to someone else, or is not a file of settings.
    """
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except PermissionError as error:
        raise TieoutError(
            f"{path} cannot be read: it belongs to user id {path.stat().st_uid}, this is {os.geteuid()}.",
            "nothing was changed.",
            "run the command as the user who ran ./scripts/setup.sh",
        ) from error
    except ValueError:
        raise TieoutError(f"{path} is not UTF-8.", "nothing was changed.", f"save {path} as UTF-8") from None
    found = {}
    for line in parse_stream(io.StringIO(text)):
        if line.error:
            # Not shown: it may hold a secret.
            raise TieoutError(
                f"line {line.original.line} of {path} is not NAME=VALUE; is a quote not closed?",
                "nothing was changed.",
                f"mend that line of {path}, then the same command again",
            )
        if line.key and line.value:
            found[line.key] = line.value
    return found


def ensure_env(layout: Layout) -> dict[str, str]:
    """Write the settings that the home's file lacks, and return all of them.

    Secrets are drawn anew, each on its own; the file has mode 600 and belongs to whoever ran the first set-up.

    Raises:
        TieoutError: the home's path or a value cannot be used, or what this home keeps needs a secret that is gone.
    """
    require_usable_paths(layout)
    layout.home.mkdir(parents=True, exist_ok=True)
    layout.state.mkdir(exist_ok=True)
    with exclusive(layout.state / "env.lock", "another set-up"):
        present = read_env(layout.env_file)
        _require_usable(layout, present)
        _require_what_data_needs(layout, present)
        missing = {name: _draw(name) for name in SECRETS if name not in present}
        missing |= {name: value for name, value in DEFAULTS.items() if name not in present}
        if missing:
            _replace_lines(layout.env_file, missing)
        elif layout.env_file.stat().st_mode & 0o077:
            layout.env_file.chmod(0o600)
    return present | missing


def _require_usable(layout: Layout, values: Mapping[str, str]) -> None:
    ours = {name: value for name, value in values.items() if name in NAMES}
    require_usable_settings(ours, frozenset(SECRETS), layout.env_file)


# Broker and database keep these, and card numbers are hashed with the last: a new one would not fit what is there.
IRREPLACEABLE = ("POSTGRES_PASSWORD_POSTGRES", "KAFKA_PASSWORD_ADMIN", "KAFKA_PASSWORD_BROKER", "CARD_HASH_KEY")


def _require_what_data_needs(layout: Layout, present: Mapping[str, str]) -> None:
    missing = [name for name in IRREPLACEABLE if name not in present]
    if not missing:
        return
    known = (layout.kafka_data / "meta.properties", choose_accounts(layout).postgres_data / "PG_VERSION")
    if any(file.exists() for file in known):
        what = "is missing" if not layout.env_file.exists() else f"lacks {', '.join(missing)}"
        raise TieoutError(
            f"{layout.env_file} {what}, and the broker and the database of this home know the secrets that it had.",
            "what runs goes on; nothing was changed, and no secret was drawn.",
            "put the old .env back, or give up what the home holds: ./scripts/tieout reset, then ./scripts/start.sh",
        )


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
        TieoutError: the file is not there or lacks settings, or a value cannot be used.
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
    _require_usable(layout, found)
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
