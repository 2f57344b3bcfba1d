"""Airflow's reader of DAG files."""

from control import airflow
from control.service import BATCH, Group, Service

SERVICE = Service(
    name=airflow.DAG_PROCESSOR,
    place=32,
    group=Group.AIRFLOW,
    command=lambda platform: (str(airflow.program(platform.layout)), "dag-processor"),
    knows=airflow.DAG_SETTINGS,
    environment=lambda platform: airflow.environment(platform.layout, platform.settings, airflow.DAG_PROCESSOR),
    waits_for=("postgres",),
    priority=BATCH,
    is_wanted=airflow.is_the_loop,
)
