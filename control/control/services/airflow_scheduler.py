"""Airflow's scheduler, and the tasks that it runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from control import airflow, sweep
from control.service import BATCH, Group, Service
from control.services.pipeline import STEPS

if TYPE_CHECKING:
    from control.processes import Platform


def _command(platform: "Platform") -> tuple[str, ...]:
    """Return the command that ends what an earlier scheduler left, and becomes the scheduler."""
    layout = platform.layout
    sweeping = (str(Path(sweep.__file__)), str(airflow.home(layout) / "scheduler.pid"), str(layout.home))
    # Without the flag it serves logs on every address of the machine; the API server reads the files itself.
    program = (str(airflow.program(layout)), "scheduler", "--skip-serve-logs")
    return (sys.executable, "-I", "-S", *sweeping, "--", *program)


SERVICE = Service(
    name=airflow.SCHEDULER,
    place=31,
    group=Group.AIRFLOW,
    command=_command,
    # Its tasks run the pipeline's commands, `maintain`, which asks as the reader where the loader is, and `batch`,
    # which sends a day's file.
    knows=(
        *STEPS,
        *airflow.DAG_SETTINGS,
        "POSTGRES_PASSWORD_READER",
        "POSTGRES_PASSWORD_INGEST",
        "KAFKA_PASSWORD_GATEWAY",
        "INCIDENT_WEBHOOK_URL",
    ),
    environment=lambda platform: airflow.environment(platform.layout, platform.settings, airflow.SCHEDULER),
    waits_for=("postgres",),
    priority=BATCH,
    # It would wait for its tasks for as long as they take; what is cut short is taken up by the next start.
    stop_seconds=15,
    is_wanted=airflow.is_the_loop,
)
