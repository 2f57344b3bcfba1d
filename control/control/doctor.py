"""`tieout doctor`: what the platform needs, whether it is so, and the command that repairs it."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from contracts.entities import entity_names, readable_entities
from contracts.model import PAYMENTS
from control import airflow, jars, orphans, supervision
from control.accounts import choose_accounts
from control.airflow_rest import Rest
from control.catching_up import left_out
from control.doctor_places import ask_broker, ask_spark, ask_warehouse
from control.env import settings
from control.java import INSTALL, SUPPORTED, java_version
from control.logins import refused_logins
from control.loop import PIPELINE
from control.ports import is_free, listening
from control.progress import columns
from control.readiness import ServiceStates, inspect_services
from control.registry import services_of
from core.errors import OutageError, TieoutError
from core.lake import Lake
from core.layout import Layout
from core.parts import Parts
from core.settings import parse_settings

MEMORY_GIB = 5
DISK_GIB = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `repair` is a command, empty when all is well."""

    name: str
    ok: bool
    detail: str
    repair: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the form of `doctor --json`."""
        return asdict(self)


def examine(layout: Layout) -> list[Finding]:
    """Look at everything, whatever fails on the way; changes nothing."""
    checks: dict[str, Callable[[Layout], Finding]] = {
        "python": _python,
        "java": _java,
        "memory": _memory,
        "disk": _disk,
        "environments": _environments,
        "jars": _jars,
        "settings": _settings,
        "accounts": _accounts,
        "processes": _processes,
        "ports": _ports,
        "services": _services,
        "logins": _logins,
        "broker": _place("broker", ask_broker),
        "warehouse": _place("warehouse", ask_warehouse),
        "spark": _place("spark", ask_spark),
        "lake": _lake,
        "entities": _entities,
        "dags": _dags,
    }
    return [_run_check(name, check, layout) for name, check in checks.items()]


def _run_check(name: str, check: Callable[[Layout], Finding], layout: Layout) -> Finding:
    try:
        return check(layout)
    except TieoutError as error:
        return Finding(name, False, error.what, error.next)
    except OSError as error:
        return Finding(name, False, str(error), "./scripts/setup.sh")


def _python(layout: Layout) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    detail = f"{version} in {layout.environments}"
    return Finding("python", sys.version_info[:2] == (3, 11), detail, "./scripts/setup.sh")


def _java(_: Layout) -> Finding:
    found = java_version()
    return Finding("java", found in SUPPORTED, "not on PATH" if found is None else f"version {found}", INSTALL)


def _memory(_: Layout) -> Finding:
    gib = psutil.virtual_memory().total / 2**30
    repair = "lower SPARK_DRIVER_MEMORY in .env, or take a larger machine"
    return Finding("memory", gib >= MEMORY_GIB, f"{gib:.1f} GiB, {MEMORY_GIB} are needed", repair)


def _disk(layout: Layout) -> Finding:
    gib = shutil.disk_usage(layout.home).free / 2**30
    repair = f"free space below {layout.home}, or name another folder in TIEOUT_HOME"
    return Finding("disk", gib >= DISK_GIB, f"{gib:.1f} GiB free, {DISK_GIB} are needed", repair)


def _environments(layout: Layout) -> Finding:
    names = {"platform": "tieout", "dbt": "dbt", "airflow": "airflow"}
    programs = [layout.environments / name / "bin" / program for name, program in names.items()]
    missing = [str(program) for program in programs if not program.exists()]
    detail = f"missing: {', '.join(missing)}" if missing else "platform, dbt and airflow"
    return Finding("environments", not missing, detail, "./scripts/setup.sh")


def _jars(layout: Layout) -> Finding:
    wrong = jars.differences(layout.jars)
    detail = f"{wrong[0]} ({len(wrong)} in all)" if wrong else "as the lock lists them"
    return Finding("jars", not wrong, detail, "./scripts/setup.sh")


def _settings(layout: Layout) -> Finding:
    settings(layout)
    mode = stat.S_IMODE(layout.env_file.stat().st_mode)
    return Finding("settings", mode & 0o077 == 0, f"{layout.env_file}, mode {mode:o}", f"chmod 600 {layout.env_file}")


def _accounts(layout: Layout) -> Finding:
    accounts = choose_accounts(layout)
    who = f"services run as {accounts.services or _own_name()}, PostgreSQL as {accounts.postgres or _own_name()}"
    repair = "move the clone below /srv, for example"
    return Finding("accounts", accounts.note is None, accounts.note or who, repair)


def _own_name() -> str:
    return psutil.Process(os.getpid()).username()


def _processes(layout: Layout) -> Finding:
    left = [] if supervision.running(layout) else orphans.members(layout)
    detail = f"{len(left)} processes outlived their supervisor" if left else "none without a supervisor"
    return Finding("processes", not left, detail, "./scripts/start.sh, which ends them first")


def _ports(layout: Layout) -> Finding:
    values, free = settings(layout), "free"
    if supervision.running(layout):
        found, free = _seen(layout, values), "in use by this platform"
        taken = [setting for name in found.states for setting in found.foreign_ports(name)]
    else:
        taken = [name for name in listening(services_of(layout)) if not is_free(int(values[name]))]
    detail = f"taken by others: {', '.join(f'{name}={values[name]}' for name in taken)}" if taken else free
    return Finding("ports", not taken, detail, "./scripts/start.sh, which takes the next free ones")


def _seen(layout: Layout, values: Mapping[str, str]) -> ServiceStates:
    return inspect_services(layout, values, supervision.process_states(layout))


def _services(layout: Layout) -> Finding:
    seen = _seen(layout, settings(layout))
    if not seen.states:
        return Finding("services", False, "the platform does not run", "./scripts/start.sh")
    optional = {service.name for service in services_of(layout).values() if service.is_optional}
    asked = [name for name, info in seen.states.items() if name not in optional or info["statename"] != "STOPPED"]
    ill = {name: why for name in asked if (why := seen.problem(name)) is not None}
    detail = "; ".join(f"{name}: {why}" for name, why in ill.items()) or "all do their work"
    logs = "".join(f"./scripts/tieout logs {name}, then " for name in list(ill)[:1])
    return Finding("services", not ill, detail, f"{logs}./scripts/start.sh" if ill else "")


def _logins(layout: Layout) -> Finding:
    if not supervision.running(layout):
        return Finding("logins", True, "not asked: the platform does not run")
    refused = refused_logins(settings(layout), services_of(layout))
    superuser = {"POSTGRES_PASSWORD_POSTGRES", "KAFKA_PASSWORD_ADMIN"} & set(refused)
    repair = "put the old .env back, or ./scripts/tieout reset" if superuser else "./scripts/start.sh, which sets them"
    detail = f"refused: {', '.join(refused)}" if refused else "every account gets in"
    return Finding("logins", not refused, detail, repair)


def _place(name: str, ask: Callable[[Mapping[str, str]], str]) -> Callable[[Layout], Finding]:
    """Return the check of a place; what the platform itself would bring is asked only while it runs."""

    def check(layout: Layout) -> Finding:
        values = settings(layout)
        services = {"broker": "kafka", "warehouse": "postgres", "spark": "spark-master"}
        mine = services_of(layout).get(services[name])
        if mine and not mine.is_elsewhere(values) and not supervision.running(layout):
            return Finding(name, True, "not asked: the platform does not run")
        return Finding(name, True, ask(values))

    return check


def _lake(layout: Layout) -> Finding:
    """Ask the lake's log, wherever it is."""
    lake, parts = Lake.of(parse_settings(settings(layout), layout), layout), Parts(entity_names())
    newest = []
    for entity in readable_entities(parts):
        with parts.part(entity.name):
            for name in (entity.bronze, entity.dead_letters):
                at = lake.table(name).newest_version()
                newest.append((entity.name, name, at))
                if at is not None:
                    lake.table(name).actions(at)
    wrong = list(parts.failed.items())
    if wrong and not parts.well and isinstance(wrong[0][1], OutageError):
        return Finding("lake", False, wrong[0][1].what, "start the store, or mend LAKE_ENDPOINT in .env")
    found = [
        f"{name} {'not there yet' if at is None else f'at version {at}'}"
        for entity, name, at in newest
        if at is not None or entity == PAYMENTS
    ]
    found += [f"{name}: {error.what}" for name, error in wrong]
    repair = "; ".join(dict.fromkeys(error.next for _, error in wrong))
    return Finding("lake", not wrong, f"{lake.url}: {', '.join(found)}", repair)


def _entities(layout: Layout) -> Finding:
    """Look whether the stream serves every entity."""
    failed = left_out(layout)
    if not failed:
        return Finding("entities", True, f"no stream leaves out any of {', '.join(entity_names())}")
    said = "; ".join(f"the stream does not serve {name}: {error.what}" for name, error in failed.items())
    return Finding("entities", False, said, "; ".join(error.next for error in failed.values()))


def _dags(layout: Layout) -> Finding:
    """Look whether Airflow reads every file and whether the pipeline runs by itself."""
    values = settings(layout)
    if not airflow.is_the_loop(values):
        return Finding("dags", True, f"not asked: LOOP is {values['LOOP']}")
    if not supervision.running(layout):
        return Finding("dags", True, "not asked: the platform does not run")
    mode = stat.S_IMODE(airflow.passwords_file(layout).stat().st_mode)
    if mode & 0o077:
        return Finding(
            "dags", False, f"passwords.json has mode {mode:o}", f"chmod 600 {airflow.passwords_file(layout)}"
        )
    rest = Rest(values)
    wrong, dag = rest.import_errors(), rest.dag(PIPELINE)
    if wrong or dag is None:
        detail = f"cannot be read: {', '.join(wrong)}" if wrong else f"{PIPELINE} has not been read yet"
        return Finding("dags", False, detail, "./scripts/tieout logs airflow-dag-processor")
    how = "is paused: it runs when it is let run in Airflow" if dag["is_paused"] else "runs by itself"
    return Finding("dags", True, f"{PIPELINE} {how}")


def as_text(findings: list[Finding]) -> str:
    """Return the findings for people, each that is not well with its repair."""
    rows = [("", "what", "found")]
    rows += [("ok" if each.ok else "NOT OK", each.name, each.detail) for each in findings]
    repairs = [f"{each.name}: {each.repair}" for each in findings if not each.ok]
    return "\n".join([columns(rows), *(["", "repair", *repairs] if repairs else [])])
