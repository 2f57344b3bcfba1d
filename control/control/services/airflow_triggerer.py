"""Airflow's waiting room: what a task waits for without a process of its own."""

from control import airflow
from control.service import BATCH, Group, Service

SERVICE = Service(
    name=airflow.TRIGGERER,
    place=33,
    group=Group.AIRFLOW,
    # Without the flag it serves logs on every address of the machine; the API server reads the files itself.
    command=lambda platform: (str(airflow.program(platform.layout)), "triggerer", "--skip-serve-logs"),
    environment=lambda platform: airflow.environment(platform.layout, platform.settings, airflow.TRIGGERER),
    waits_for=("postgres",),
    priority=BATCH,
    is_wanted=airflow.is_the_loop,
)
