"""What services there are: how each starts, as whom, with which secrets, and how it stops."""

import base64
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from control import airflow, kafka, orphans, postgres
from control.accounts import Accounts
from core.layout import Layout

BASE = ("kafka", "postgres")
JOBS = ("stream", "live", "lineage", "dashboard")
DEMO = ("producer",)
# What repeats the way from the lake to the marts, by the setting LOOP.
LOOPS: dict[str, tuple[str, ...]] = {"airflow": airflow.NAMES, "follow": ("pipeline",), "off": ()}
# May be stopped in a platform that is well.
MAY_STAND = (*DEMO, "pipeline")

# What works in batches leaves the processors to what somebody waits for: gateway, broker, database, live view, pages.
GIVES_WAY = "nice:10"
# Those open sessions of their own, beside the supervisor's with all that gives way: see supervision.give_way. Not what
# renames itself, as Airflow does: it would lose the mark by which orphans find it.
GOES_FIRST = "session"

WAIT_EXEC = Path(__file__).with_name("wait_exec.py")
SWEEP = Path(__file__).with_name("sweep.py")
TIDY = Path(__file__).with_name("tidy.py")

# What each may know. `*` is not a pattern here on purpose: a new secret reaches nobody by accident.
_KAFKA = ("KAFKA_BOOTSTRAP",)
_POSTGRES = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB")
_LAKE = ("LAKE_URL", "LAKE_ENDPOINT", "LAKE_REGION", "LAKE_ACCESS_KEY", "LAKE_SECRET_KEY")
_SPARK = ("SPARK_UI_PORT", "SPARK_MASTER", "SPARK_DRIVER_MEMORY", "SPARK_JAVA_OPTIONS", "MAX_OFFSETS_PER_TRIGGER")
_LOADER = ("MAX_ROWS_PER_LOAD", "LOADER_MEMORY", "LOADER_LOCK_WAIT_SECONDS")
_PIPELINE = (
    *_KAFKA,
    *_POSTGRES,
    "KAFKA_PASSWORD_LOADER",
    "KAFKA_PASSWORD_AUDITOR",
    "POSTGRES_PASSWORD_LOADER",
    "POSTGRES_PASSWORD_DBT",
    *_LAKE,
    *_LOADER,
    "BRONZE_MAX_AGE",
)
_DAGS = ("PIPELINE_SCHEDULE", "FULL_TESTS_EVERY_HOURS", "DOCS_PORT")
_LIVE = (
    "LIVE_BATCH_EVENTS",
    "LIVE_LINGER_MS",
    "LIVE_KEEP_PAYMENTS_HOURS",
    "LIVE_KEEP_SECONDS",
    "LIVE_KEEP_ALERTS_DAYS",
)
_DASHBOARD = ("DASHBOARD_PORT", "DASHBOARD_TOKEN", "DASHBOARD_STALE_AFTER_SECONDS")
KNOWS: dict[str, tuple[str, ...]] = {
    "kafka": (),
    "postgres": (),
    "stream": (*_KAFKA, *_POSTGRES, *_LAKE, *_SPARK, "KAFKA_PASSWORD_STREAM", "POSTGRES_PASSWORD_READER"),
    "live": (*_KAFKA, *_POSTGRES, "KAFKA_PASSWORD_LIVE", "POSTGRES_PASSWORD_LIVE", *_LIVE),
    "pipeline": (*_PIPELINE, "RUN_EVERY_SECONDS"),
    "lineage": (),
    "dashboard": (*_POSTGRES, "POSTGRES_PASSWORD_READER", *_DASHBOARD),
    # What is Airflow's own, such as its database, comes in its own terms: airflow.environment.
    airflow.API: (),
    # Its tasks run the pipeline's commands, and `maintain`, which asks as the reader where the loader stands.
    airflow.SCHEDULER: (*_PIPELINE, *_DAGS, "POSTGRES_PASSWORD_READER", "INCIDENT_WEBHOOK_URL"),
    airflow.DAG_PROCESSOR: _DAGS,
    airflow.TRIGGERER: (),
    airflow.TIDY: (),
    "producer": (*_KAFKA, "KAFKA_PASSWORD_GATEWAY", "CARD_HASH_KEY", "PRODUCER_RATE"),
    # No service: the command of a person who looks at dead letters and puts them back.
    "dlq": (*_KAFKA, *_POSTGRES, *_LAKE, "KAFKA_PASSWORD_REDRIVE", "POSTGRES_PASSWORD_REDRIVE"),
}


@dataclass(frozen=True)
class Service:
    """One supervised process.

    Attributes:
        group: base (broker and database), jobs or airflow; the last stops first.
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

    @property
    def supervised_environment(self) -> Mapping[str, str]:
        """What the supervisor is told: what wait_exec unpacks is one word, whatever characters the values have."""
        if str(WAIT_EXEC) not in self.command:
            return self.environment
        packed = json.dumps(dict(self.environment), sort_keys=True).encode()
        return {"TIEOUT_ENVIRONMENT": base64.b64encode(packed).decode()}


@dataclass(frozen=True)
class Platform:
    """One platform that is set up: where it stands, who runs it, its settings and services."""

    layout: Layout
    accounts: Accounts
    settings: Mapping[str, str] = field(repr=False)  # secrets

    @property
    def services(self) -> dict[str, Service]:
        """Every service under its name."""
        return all_services(self.layout, self.accounts, self.settings)


def loop_services(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the services that are the loop; the settings' model knows the words for LOOP."""
    return LOOPS[settings["LOOP"]]


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
    """Return every service of the platform under its name, in the order of starting.

    Raises:
        TieoutError: LOOP is none of its three words.
    """
    wanted = {*BASE, *JOBS, *DEMO, *loop_services(settings)}
    services = {"postgres": _postgres(accounts, settings)}
    for name, command in _commands(layout, settings).items():
        known = {key: settings[key] for key in KNOWS[name] if key in settings}
        if name in airflow.NAMES:
            known |= airflow.environment(layout, settings, name)
        services[name] = Service(
            name=name,
            group=next((group for group, names in _GROUPS.items() if name in names), "jobs"),
            command=command,
            environment=base_environment(layout) | known | {orphans.MARK: str(layout.home)},
            user=accounts.services,
            stop_seconds=_STOP_SECONDS.get(name, 30),
            url=_urls(settings).get(name),
        )
    return {name: each for name, each in services.items() if name in wanted and runs_here(name, settings)}


_GROUPS = {"base": BASE, "airflow": airflow.NAMES}


def _commands(layout: Layout, settings: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    broker = (f"tcp:{settings['KAFKA_PORT']}",) if runs_here("kafka", settings) else ()
    database = (f"tcp:{settings['POSTGRES_PORT']}",) if runs_here("postgres", settings) else ()
    tieout = (sys.executable, "-P", "-m", "control")
    follow = [*tieout, "run", "--follow", "--stream", "service"]
    return {
        "kafka": _waiting("SIGTERM", (GOES_FIRST,), kafka.broker_command(layout)),
        # Only Python gets the signal: it must stop its query before its JVM ends.
        "stream": _waiting("SIGTERM", (GIVES_WAY, *broker), [*tieout, "stream"]),
        "live": _waiting("SIGTERM", (GOES_FIRST, *broker, *database), [*tieout, "live"]),
        "producer": _waiting(
            "SIGTERM", (GOES_FIRST, *broker), [*tieout, "produce", "--rate", settings["PRODUCER_RATE"]]
        ),
        "pipeline": _waiting("SIGTERM", (GIVES_WAY, *broker, *database), follow),
        "lineage": _waiting("SIGTERM", (), _lineage_command(layout, settings)),
        "dashboard": _waiting("SIGTERM", (GOES_FIRST, *database), [sys.executable, "-P", "-m", "dashboard"]),
        **{name: _airflow(layout, name, database) for name in airflow.PROGRAMS},
        airflow.TIDY: _waiting("SIGTERM", (GIVES_WAY, *database), _tidy_command(layout, settings)),
    }


def _urls(settings: Mapping[str, str]) -> dict[str, str]:
    return {
        "kafka": settings["KAFKA_BOOTSTRAP"],
        "stream": f"http://127.0.0.1:{settings['SPARK_UI_PORT']}",
        "lineage": f"http://127.0.0.1:{settings['DOCS_PORT']}",
        "dashboard": f"http://127.0.0.1:{settings['DASHBOARD_PORT']}",
        airflow.API: airflow.url(settings),
    }


# The scheduler would wait for its tasks for as long as they take; what is cut short is taken up by the next start.
_STOP_SECONDS = {"stream": 60, airflow.SCHEDULER: 15}


def _lineage_command(layout: Layout, settings: Mapping[str, str]) -> list[str]:
    served = ["--directory", str(layout.docs_site), settings["DOCS_PORT"]]
    return [sys.executable, "-I", "-S", "-m", "http.server", "--bind", "127.0.0.1", *served]


def _tidy_command(layout: Layout, settings: Mapping[str, str]) -> list[str]:
    what = [str(airflow.task_logs(layout)), settings["AIRFLOW_KEEP_DAYS"], str(airflow.program(layout))]
    return [sys.executable, "-I", "-S", str(TIDY), *what]


def _airflow(layout: Layout, name: str, database: tuple[str, ...]) -> tuple[str, ...]:
    command = [str(airflow.program(layout)), *airflow.PROGRAMS[name]]
    if name == airflow.SCHEDULER:
        pid_file = str(airflow.home(layout) / "scheduler.pid")
        command = [sys.executable, "-I", "-S", str(SWEEP), pid_file, str(layout.home), "--", *command]
    return _waiting("SIGTERM", database if name == airflow.API else (GIVES_WAY, *database), command)


def _waiting(signal_name: str, wishes: tuple[str, ...], command: list[str]) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(WAIT_EXEC), signal_name, *wishes, "--", *command)


def _postgres(accounts: Accounts, settings: Mapping[str, str]) -> Service:
    """Return the database's service. Its account may not reach our Python: setpriv does what wait_exec does."""
    command = tuple(postgres.server_command(accounts, settings))
    setpriv = shutil.which("setpriv")
    if setpriv:
        command = (setpriv, "--pdeathsig", "INT", "--", *command)
    return Service(
        name="postgres",
        group="base",
        command=command,
        environment={"LANG": "C.UTF-8"},
        user=accounts.postgres,
        stop_signal="INT",
        url=f"postgresql://reader@127.0.0.1:{settings['POSTGRES_PORT']}/{settings['POSTGRES_DB']}",
    )
