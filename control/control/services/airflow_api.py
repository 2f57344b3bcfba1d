"""Airflow's server: its pages, its REST API, and what its own tasks ask."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from control import airflow
from control.restrict import ENDS_SESSIONS, LOCKS
from control.service import Address, Folder, Group, Role, Service, Settings
from core.errors import OutageError

if TYPE_CHECKING:
    from control.processes import Platform


def _reports(settings: Settings) -> Mapping[str, str]:
    """Return what Airflow says of its parts: a process can live and do nothing."""
    from control.airflow_rest import Rest

    try:
        health = Rest(settings).health()
    except OutageError:
        return {airflow.API: "does not answer"}
    ill = {f"airflow-{part.replace('_', '-')}": "no heartbeat" for part, how in health.items() if how != "healthy"}
    return {airflow.API: "cannot reach its database"} if "airflow-metadatabase" in ill else ill


def _addresses(platform: "Platform") -> list[Address]:
    login = f"admin or viewer, passwords in {airflow.passwords_file(platform.layout)}"
    return [Address("airflow", airflow.url(platform.settings), login, place=35)]


SERVICE = Service(
    name=airflow.API,
    place=30,
    group=Group.AIRFLOW,
    command=lambda platform: (str(airflow.program(platform.layout)), "api-server"),
    environment=lambda platform: airflow.environment(platform.layout, platform.settings, airflow.API),
    ports=("AIRFLOW_PORT",),
    waits_for=("postgres",),
    is_wanted=airflow.is_the_loop,
    reports=_reports,
    url=airflow.url,
    addresses=_addresses,
    folders=lambda layout, _: [Folder(airflow.home(layout), made="never")],
    roles=(Role("airflow", 30, database="airflow", owns_database=True, calls=(LOCKS, ENDS_SESSIONS)),),
)
