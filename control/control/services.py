"""What services there are: how each starts, as whom, with which secrets, and how it stops."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts.layout import Layout
from control import kafka, postgres
from control.accounts import Accounts

BASE = ("kafka", "postgres")
JOBS = ("stream", "pipeline")
DEMO = ("producer",)

WAIT_EXEC = Path(__file__).with_name("wait_exec.py")

# What each may know. `*` is not a pattern here on purpose: a new secret reaches nobody by accident.
_KAFKA = ("KAFKA_BOOTSTRAP",)
_POSTGRES = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB")
_SPARK = ("SPARK_UI_PORT", "SPARK_MASTER", "SPARK_DRIVER_MEMORY", "MAX_OFFSETS_PER_TRIGGER")
_LOADER = ("MAX_ROWS_PER_LOAD", "LOADER_MEMORY", "LOADER_LOCK_WAIT_SECONDS")
KNOWS: dict[str, tuple[str, ...]] = {
    "kafka": (),
    "postgres": (),
    "stream": (*_KAFKA, *_POSTGRES, *_SPARK, "KAFKA_PASSWORD_STREAM", "POSTGRES_PASSWORD_READER"),
    "pipeline": (
        *_KAFKA,
        *_POSTGRES,
        "KAFKA_PASSWORD_LOADER",
        "KAFKA_PASSWORD_AUDITOR",
        "POSTGRES_PASSWORD_LOADER",
        "POSTGRES_PASSWORD_DBT",
        *_LOADER,
        "RUN_EVERY_SECONDS",
    ),
    "producer": (*_KAFKA, "KAFKA_PASSWORD_GATEWAY", "CARD_HASH_KEY", "PRODUCER_RATE"),
    # No service: the command of a person who looks at dead letters and puts them back.
    "dlq": (*_KAFKA, *_POSTGRES, "KAFKA_PASSWORD_REDRIVE", "POSTGRES_PASSWORD_REDRIVE"),
}


@dataclass(frozen=True)
class Service:
    """One supervised process.

    Attributes:
        group: base (broker and database) or jobs; jobs stop first.
        command: the program and its arguments, waiting for what it needs.
        environment: all that it gets; the supervisor adds nothing.
        user: its account; None: the caller's.
        stop_signal: what asks it to end cleanly.
        stop_seconds: after these it is killed.
        url: where a person can look, if anywhere.
    """

    name: str
    group: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    user: str | None
    stop_signal: str = "TERM"
    stop_seconds: int = 30
    url: str | None = None


def runs_here(name: str, settings: Mapping[str, str]) -> bool:
    """Say whether a service is ours to run: a broker or a database at another address is somebody else's."""
    if name == "kafka":
        return settings["KAFKA_BOOTSTRAP"].startswith("127.0.0.1:")
    if name == "postgres":
        return settings["POSTGRES_HOST"] == "127.0.0.1"
    return True


def base_environment(layout: Layout) -> dict[str, str]:
    """Return what every process gets: where things are, and nothing secret."""
    java_home = os.environ.get("JAVA_HOME")
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": str(layout.state / "account"),
        "LANG": "C.UTF-8",
        "TIEOUT_HOME": str(layout.home),
        "PYTHONUNBUFFERED": "1",
        **({"JAVA_HOME": java_home} if java_home else {}),
    }


def all_services(layout: Layout, accounts: Accounts, settings: Mapping[str, str]) -> dict[str, Service]:
    """Return every service of the platform under its name, in the order of starting."""
    broker = (f"tcp:{settings['KAFKA_PORT']}",) if runs_here("kafka", settings) else ()
    database = (f"tcp:{settings['POSTGRES_PORT']}",) if runs_here("postgres", settings) else ()
    tieout = (sys.executable, "-P", "-m", "control")
    commands = {
        "kafka": _waiting("SIGTERM", (), kafka.broker_command(layout)),
        # Only Python gets the signal: it must stop its query before its JVM ends.
        "stream": _waiting("SIGTERM", broker, [*tieout, "stream"]),
        "producer": _waiting("SIGTERM", broker, [*tieout, "produce", "--rate", settings["PRODUCER_RATE"]]),
        "pipeline": _waiting("SIGTERM", (*broker, *database), [*tieout, "run", "--follow", "--stream", "service"]),
    }
    urls = {"kafka": settings["KAFKA_BOOTSTRAP"], "stream": f"http://127.0.0.1:{settings['SPARK_UI_PORT']}"}
    base = base_environment(layout)
    python = {
        name: Service(
            name=name,
            group="base" if name in BASE else "jobs",
            command=command,
            environment=base | {key: settings[key] for key in KNOWS[name] if key in settings},
            user=accounts.services,
            stop_seconds=60 if name == "stream" else 30,
            url=urls.get(name),
        )
        for name, command in commands.items()
    }
    everything = {"postgres": _postgres(layout, accounts, settings), **python}
    return {name: service for name, service in everything.items() if runs_here(name, settings)}


def _waiting(signal_name: str, dependencies: tuple[str, ...], command: list[str]) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(WAIT_EXEC), signal_name, *dependencies, "--", *command)


def _postgres(layout: Layout, accounts: Accounts, settings: Mapping[str, str]) -> Service:
    """Return the database's service. Its account may not reach our Python: setpriv does what wait_exec does."""
    command = tuple(postgres.server_command(accounts, settings))
    setpriv = shutil.which("setpriv")
    if setpriv:
        command = (setpriv, "--pdeathsig", "INT", "--", *command)
    return Service(
        name="postgres",
        group="base",
        command=command,
        environment=base_environment(layout) | {"HOME": str(accounts.postgres_data)},
        user=accounts.postgres,
        stop_signal="INT",
        url=f"postgresql://reader@127.0.0.1:{settings['POSTGRES_PORT']}/{settings['POSTGRES_DB']}",
    )
