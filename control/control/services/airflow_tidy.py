"""Deletes what Airflow keeps of old runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from control import airflow, tidy
from control.service import BATCH, Group, Service

if TYPE_CHECKING:
    from control.processes import Platform


def _command(platform: "Platform") -> tuple[str, ...]:
    layout, days = platform.layout, platform.settings["AIRFLOW_KEEP_DAYS"]
    what = (str(airflow.task_logs(layout)), days, str(airflow.program(layout)))
    return (sys.executable, "-I", "-S", str(Path(tidy.__file__)), *what)


SERVICE = Service(
    name=airflow.TIDY,
    place=34,
    group=Group.AIRFLOW,
    command=_command,
    environment=lambda platform: airflow.environment(platform.layout, platform.settings, airflow.TIDY),
    waits_for=("postgres",),
    priority=BATCH,
    is_wanted=airflow.is_the_loop,
)
