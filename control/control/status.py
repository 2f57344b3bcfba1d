"""`tieout status`: a row for each service and for each station of the data."""

from collections.abc import Mapping
from typing import Any

from contracts.model import PAYMENTS
from control.accounts import choose_accounts
from control.env import settings
from control.processes import Platform
from control.progress import columns
from control.readiness import ServiceStates, inspect_services, waits_for_decision
from control.service import Group, Service
from control.stations import read_stations
from core.layout import Layout

NO_PARTICULARS = frozenset({"name", "entity", "count", "lag_seconds", "offsets"})
# An entity beside payments has a line where one of these is there.
WORTH_A_LINE = ("error", "count", "events_behind")
STATES = {"RUNNING": "running", "STARTING": "starting", "STOPPED": "stopped", "STOPPING": "stopping"}


def read_status(layout: Layout) -> dict[str, Any]:
    """Return the form of `status --json`. Broken parts are rows, never exceptions.

    `ok` is true when every service runs and answers (the demo's may be stopped) and every station answers.

    Raises:
        TieoutError: this home was never set up.
    """
    values = settings(layout)
    services = [each.service for each in Platform(layout, choose_accounts(layout), values).services.values()]
    seen = inspect_services(layout, values, [service.name for service in services])
    states = seen.states
    rows = [_service(service, values, seen) for service in services]
    for service, row in zip(services, rows, strict=True):
        if row["state"] == "running":
            _take_reports(service.reports(values), rows)
    stations = read_stations(layout, values) if states else []
    may_be_stopped = {service.name for service in services if service.is_optional}
    well = all(
        row["state"] == "running" or (row["name"] in may_be_stopped and row["state"] == "stopped") for row in rows
    )
    return {"ok": well and not any("error" in each for each in stations), "services": rows, "stations": stations}


def _service(service: Service, values: Mapping[str, str], seen: ServiceStates) -> dict[str, Any]:
    url = service.url(values) if service.url else None
    row: dict[str, Any] = {"name": service.name, "state": "stopped", "url": url, "seconds_up": None}
    info = seen.states.get(service.name)
    if info is None:
        return row
    row["state"] = STATES.get(info["statename"], "broken")
    if row["state"] == "running":
        row["seconds_up"] = info["now"] - info["start"]
        why = seen.problem(service.name)
        if why is not None:
            # Broker and database answer at once; the others need their time, and only a foreigner's port is for good.
            is_broken = service.group == Group.BASE or bool(seen.foreign_ports(service.name))
            row["state"] = "broken" if is_broken else "starting"
            row["error"] = f"{why}; if that lasts: ./scripts/tieout logs {service.name}"
    elif row["state"] == "broken":
        decide = f"waits for your decision: ./scripts/tieout logs {service.name}, then ./scripts/start.sh"
        row["error"] = decide if waits_for_decision(info) else info["spawnerr"] or info["description"]
    return row


# The first heartbeat of a part comes when its modules are loaded, which takes a busy machine this long.
PATIENCE_SECONDS = 180


def _take_reports(ill: Mapping[str, str], rows: list[dict[str, Any]]) -> None:
    """Put what one service says of others into their rows."""
    for row in rows:
        if row["state"] == "running" and row["name"] in ill:
            row["state"] = "starting" if row["seconds_up"] < PATIENCE_SECONDS else "broken"
            row["error"] = f"{ill[row['name']]}; if that lasts: ./scripts/tieout logs {row['name']}"


def as_text(found: dict[str, Any]) -> str:
    """Return the rows for people."""
    services = [("service", "state", "up", "where")]
    for row in found["services"]:
        up = "" if row["seconds_up"] is None else f"{row['seconds_up']} s"
        services.append((row["name"], row["state"], up, row.get("error") or row["url"] or ""))
    stations = [("station", "count", "behind", "")]
    for row in found["stations"]:
        if row.get("entity", PAYMENTS) != PAYMENTS and not any(row.get(name) for name in WORTH_A_LINE):
            continue
        rest = {name: value for name, value in row.items() if name not in NO_PARTICULARS}
        particulars = (f"{name.replace('_', ' ')} {_words(value)}" for name, value in rest.items())
        count = "?" if row["count"] is None else f"{row['count']:,}"
        lag = "" if row["lag_seconds"] is None else f"{row['lag_seconds']} s"
        stations.append((row["name"], count, lag, row.get("error") or ", ".join(particulars)))
    parts = [columns(services), *([columns(stations)] if found["stations"] else [])]
    return "\n\n".join(parts)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return "-" if value is None else str(value)
