"""The settings file `<home>/.env`: generated secrets and ports. Values that stand there are never overwritten."""

import base64
import os
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contracts.entities import lake_tables
from control.accounts import choose_accounts
from control.progress import say
from control.registry import services_of
from control.usable import require_usable_paths, require_usable_settings
from core.env_file import read_env_file
from core.errors import TieoutError
from core.files import owner_of, write_file
from core.lake import Lake
from core.layout import Layout
from core.locks import exclusive
from core.setting_kinds import EMPTY, GIVEN, SECRET, WRITTEN
from core.setting_types import Port
from core.settings import names, parse_settings, written_defaults

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
        wanted = {**dict.fromkeys(SECRETS), **DEFAULTS, **added_settings(layout)}
        missing = {
            name: _draw(name) if default is None else default for name, default in wanted.items() if name not in present
        }
        if missing:
            _replace_lines(layout.env_file, missing)
        elif layout.env_file.stat().st_mode & 0o077:
            layout.env_file.chmod(0o600)
    return present | missing


def added_settings(layout: Layout) -> dict[str, str | None]:
    """Return the settings that only services of this home have, and their defaults; None: a secret."""
    services = services_of(layout).values()
    found = {name: default for service in services for name, default in service.added_settings.items()}
    return {name: default for name, default in found.items() if name not in NAMES}


def _require_usable(layout: Layout, values: Mapping[str, str]) -> None:
    added = added_settings(layout)
    ours = {name: value for name, value in values.items() if name in NAMES or name in added}
    secrets = {*names(SECRET, GIVEN), *(name for name, default in added.items() if default is None)}
    require_usable_settings(ours, secrets, layout.env_file)
    parse_settings(ours, layout)
    for name in (name for name in added if name in ours and name.endswith("_PORT")):
        try:
            TypeAdapter(Port).validate_python(ours[name])
        except ValidationError as error:
            raise TieoutError(
                f"{name} is not as it should be: {error.errors(include_url=False)[0]['msg']}.",
                "nothing was started or changed.",
                f"set {name} in {layout.env_file} or in the environment",
            ) from None


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
    found, added = read_env(layout.env_file), added_settings(layout)
    found |= {name: environ[name] for name in (*NAMES, *added) if environ.get(name)}
    lacking = sorted(name for name in (*SECRETS, *DEFAULTS, *added) if name not in found)
    if lacking:
        raise TieoutError(
            f"{layout.env_file} lacks {len(lacking)} settings, {lacking[0]} first.",
            "nothing was changed.",
            "./scripts/setup.sh writes what is missing and keeps what is there",
        )
    _require_usable(layout, found)
    return found


def lake_of(layout: Layout, values: Mapping[str, str]) -> Lake:
    """Return the lake that settings name, with the tables of all entities.

    Raises:
        TieoutError: a value is not what its variable needs.
    """
    return Lake.of(parse_settings(values, layout), layout, lake_tables())


def _replace_lines(path: Path, values: Mapping[str, str]) -> None:
    """Set lines of the file: one write beside it and one rename, so that nobody reads half a file."""
    path = path.resolve()  # where the home has a link, the file that it names
    old = path.read_text(encoding="utf-8") if path.exists() else HEADER
    rest = [line for line in old.splitlines() if line.partition("=")[0].strip() not in values]
    text = "\n".join([*rest, *(f"{name}={value}" for name, value in values.items())]) + "\n"
    write_file(path, text, mode=0o600, owner=owner_of(path) if path.exists() else None)


def settings_of_this_process(layout: Layout) -> dict[str, str]:
    """Return what this process may know: its environment, and the home's file where it may read it.

    Raises:
        TieoutError: a value is not what its variable needs, or the auditor's password is nowhere to be found.
    """
    readable = os.access(layout.env_file, os.R_OK)
    here = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    found = DEFAULTS | (read_env(layout.env_file) if readable else {}) | here
    if "KAFKA_PASSWORD_AUDITOR" not in found:
        raise TieoutError(
            f"KAFKA_PASSWORD_AUDITOR is not set: looked in the process environment, then in {layout.env_file}.",
            "nothing was read or written.",
            "./scripts/start.sh",
        )
    parse_settings(found, layout)
    return found
