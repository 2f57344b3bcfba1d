"""What Airflow needs before it starts and what takes seconds: its own schema, and dbt's manifest for the model tasks.

Both begin as processes of their own, so that they run beside whatever else starts, and only where something changed.
"""

import re
import subprocess
import time
from pathlib import Path

from control import airflow
from control.accounts import as_user, own_file, own_folder
from control.processes import Platform, base_environment
from control.progress import say
from control.roles import dsn
from core.errors import TieoutError
from core.layout import Layout
from transformation.dbt_process import dbt_program, folders
from transformation.hashes import files_digest


class Preparation:
    """The two of them, under way from the moment this is made."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._begun = time.monotonic()
        self._schema = "airflow " + _locked_version(platform.layout)
        self._models = files_digest(platform.layout.checkout / "transformation")
        self._migrating = None if self._schema == _schema_there(platform) else self._migrate()
        self._parsing = None if self._models == _models_there(platform.layout) else self._parse()

    def finish(self) -> None:
        """Wait for both.

        Raises:
            TieoutError: one failed; its last words are named.
        """
        if self._parsing is not None:
            self._wait(self._parsing, "dbt-parse", "the dbt project cannot be read")
            (_parsed(self._platform.layout) / "manifest.json").replace(airflow.manifest(self._platform.layout))
            own_file(_stamp(self._platform.layout), self._models, self._platform.accounts.services)
        if self._migrating is not None:
            self._wait(self._migrating, "airflow-migrate", "airflow's database could not be migrated")
            _write_schema(self._platform, self._schema)
        if self._parsing is not None or self._migrating is not None:
            say(f"  {'airflow: its database, the models of dbt':<58} {time.monotonic() - self._begun:5.1f} s")

    def _wait(self, process: "subprocess.Popen[str]", name: str, failure: str) -> None:
        said, _ = process.communicate()
        log = self._platform.layout.logs / f"{name}.log"
        own_file(log, said, None)
        if process.returncode != 0:
            last = said.strip().splitlines()
            raise TieoutError(
                f"{failure}: {last[-1] if last else 'no message'}",
                f"broker, database and lake are as they were; the output is in {log}.",
                "./scripts/start.sh again; LOOP=follow in .env goes on without Airflow",
            )

    def _migrate(self) -> "subprocess.Popen[str]":
        environment = self._platform.services[airflow.API].environment
        return self._begin([str(airflow.program(self._platform.layout)), "db", "migrate"], dict(environment))

    def _parse(self) -> "subprocess.Popen[str]":
        layout = self._platform.layout
        own_folder(_parsed(layout), self._platform.accounts.services, 0o700)
        command = [dbt_program(layout), "--log-level-file", "none", "parse"]
        command += folders(layout, _parsed(layout), _parsed(layout))
        return self._begin(command, base_environment(layout) | {"DO_NOT_TRACK": "1"})

    def _begin(self, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o077,
            **as_user(self._platform.accounts.services),
        )


def _locked_version(layout: Layout) -> str:
    lock = (layout.checkout / "airflow" / "requirements.txt").read_text(encoding="utf-8")
    found = re.search(r"^apache-airflow==(\S+)", lock, re.MULTILINE)
    return found[1] if found else "unknown"


def _schema_there(platform: Platform) -> str | None:
    """Return which version's schema stands in the database.

    It is written on the database itself: the command that would ask takes eleven seconds.
    """
    import psycopg

    question = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'airflow'"
    with psycopg.connect(dsn(platform.settings, "airflow", "airflow")) as connection:
        row = connection.execute(question).fetchone()
    return row[0] if row else None


def _write_schema(platform: Platform, version: str) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(dsn(platform.settings, "airflow", "airflow")) as connection:
        connection.execute(sql.SQL("COMMENT ON DATABASE airflow IS {}").format(sql.Literal(version)))


def _parsed(layout: Layout) -> Path:
    return airflow.home(layout) / "dbt"


def _stamp(layout: Layout) -> Path:
    return airflow.home(layout) / "manifest.digest"


def _models_there(layout: Layout) -> str | None:
    there = airflow.manifest(layout).exists() and _stamp(layout).exists()
    return _stamp(layout).read_text(encoding="utf-8") if there else None
