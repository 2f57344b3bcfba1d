"""The settings file `<home>/.env`: generated secrets and ports. Values that stand there are never overwritten."""

import base64
import os
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from control.accounts import choose_accounts
from control.say import say
from control.usable import require_usable_paths, require_usable_settings
from core.errors import TieoutError
from core.files import owner_of, write_file
from core.lake import Lake
from core.layout import Layout
from core.locks import exclusive
from core.settings import EMPTY, GIVEN, SECRET, WRITTEN, names, parse_settings, read_env_file, written_defaults

SECRETS = names(SECRET)
DEFAULTS = written_defaults()

HEADER = "# Settings and secrets of this platform; .env.example says what each is.\n"

NAMES = frozenset(names(SECRET, GIVEN, WRITTEN, EMPTY))


def read_env(path: Path) -> dict[str, str]:
    """Return the settings of a file; those without a value are left out.

    Raises:
        TieoutError: the file belongs to someone else, or is not a file of settings.
    """
    return read_env_file(path) if path.exists() else {}


def ensure_env(layout: Layout) -> dict[str, str]:
    """Write the settings that the home's file lacks, and return all of them.

    Secrets are drawn anew, each on its own; the file has mode 600 and belongs to whoever ran the first set-up.

    Raises:
        TieoutError: the home's path or a value cannot be used, or what this home keeps needs a secret that is gone.
    """
    require_usable_paths(layout)
    layout.home.mkdir(parents=True, exist_ok=True)
    layout.state.mkdir(exist_ok=True)
    with exclusive(layout.state / "env.lock", partial(say, "waiting for another set-up")):
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
    require_usable_settings(ours, frozenset(names(SECRET, GIVEN)), layout.env_file)
    parse_settings(ours, layout)


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
    with exclusive(layout.state / "env.lock", partial(say, "waiting for another set-up")):
        _replace_lines(layout.env_file, values)


def settings(layout: Layout, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return every setting: the process environment first, then the home's file.

    Raises:
        TieoutError: the file is not there, lacks settings, or has a value that cannot be used.
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


def lake_of(layout: Layout, values: Mapping[str, str]) -> Lake:
    """Return the lake that settings name.

    Raises:
        TieoutError: a value is not what its variable needs.
    """
    return Lake.of(parse_settings(values, layout), layout)


def _replace_lines(path: Path, values: Mapping[str, str]) -> None:
    """Set lines of the file: one write beside it and one rename, so that nobody reads half a file."""
    path = path.resolve()  # where the home has a link, the file that it names
    old = path.read_text(encoding="utf-8") if path.exists() else HEADER
    rest = [line for line in old.splitlines() if line.partition("=")[0].strip() not in values]
    text = "\n".join([*rest, *(f"{name}={value}" for name, value in values.items())]) + "\n"
    write_file(path, text, mode=0o600, owner=owner_of(path) if path.exists() else None)
