"""Commands that write the lake or the warehouse run as the services do, so that no file ever has a second owner."""

import atexit
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from control.accounts import choose_accounts, hand_over, ids, reachable
from control.env import settings
from control.processes import base_environment
from control.registry import plain_services
from control.service import BROKER, LAKE, WAREHOUSE
from core.layout import Layout

# What a command may know, in the terms of the services whose work it does.
WORK_OF = {
    "produce": ("producer",),
    "stream": ("stream",),
    "live": ("live",),
    "alert": ("live",),
    "maintain": ("stream", "pipeline"),
    "check": ("pipeline",),
    "docs": ("pipeline",),
    "backfill": ("pipeline",),
    "incident": ("pipeline", "airflow-scheduler"),
    "load": ("pipeline",),
    "proof": ("pipeline",),
    "build": ("pipeline",),
    "run": ("pipeline", "stream"),
    "dlq": (),
    "ingest": ("producer",),
    "refused": ("producer",),
    "batch": ("producer", "pipeline", "stream"),
}
# No service's: a person looks at dead letters and puts them back, or ingests files.
FILES = (*WAREHOUSE, *LAKE, "KAFKA_PASSWORD_AUDITOR", "POSTGRES_PASSWORD_INGEST")
OF_NO_SERVICE = {
    "dlq": (*BROKER, *WAREHOUSE, *LAKE, "KAFKA_PASSWORD_REDRIVE", "POSTGRES_PASSWORD_REDRIVE"),
    "ingest": FILES,
    "refused": FILES,
    "batch": FILES,
}


def become_service_user(layout: Layout, command: str | None, arguments: Sequence[str]) -> None:
    """Started by root on a home whose services have an account: read the secrets, then become that account.

    Other commands, other callers and homes without such an account go on unchanged.
    """
    if command not in WORK_OF or os.geteuid() != 0 or not layout.env_file.exists():
        return
    user = choose_accounts(layout).services
    if user is None or not _known(user) or not (layout.state / "account").exists():
        return
    keeps_its_file = command == "refused" and "export" in arguments
    if keeps_its_file or (command in {"produce", "ingest", "refused"} and _has_file_of_its_own(arguments)):
        uid_gid = ids(user)
        atexit.register(hand_over, layout.undelivered, *uid_gid)
        return
    if command == "dlq" and _names_a_letter_file(arguments):
        return  # the file is the caller's, and nothing else is written on disk
    values = settings(layout)
    os.environ.update({name: values[name] for name in known_to(command) if name in values})
    os.environ["HOME"] = base_environment(layout)["HOME"]
    uid, gid = ids(user)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    os.umask(0o077)


def known_to(command: str) -> set[str]:
    """Return the settings that a command gets when it becomes the services' account."""
    services = plain_services()
    return {name for each in WORK_OF[command] for name in services[each].knows} | {*OF_NO_SERVICE.get(command, ())}


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _names_a_letter_file(arguments: Sequence[str]) -> bool:
    """Say whether letters are written to a file or read from one, which is the caller's alone (mode 600)."""
    return "export" in arguments or any(argument.partition("=")[0] == "--from" for argument in arguments)


def _has_file_of_its_own(arguments: Sequence[str]) -> bool:
    """Say whether a path is named that the account could not reach: such a command stays with its caller."""
    named = (argument.rpartition("=")[2] for argument in arguments)
    return any(("/" in name or Path(name).is_file()) and not reachable(Path(name)) for name in named)
