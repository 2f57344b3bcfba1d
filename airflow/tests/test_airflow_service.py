"""Airflow as a service of the platform: who may log in, where it listens, and what status says of it."""

import json
import stat
import urllib.error
import urllib.request
from typing import Any

import psutil
import pytest

from control import airflow
from control.airflow_rest import Rest
from control.loop import PIPELINE
from core.layout import find_layout

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def token(platform: Any, user: str, password: str) -> str:
    request = urllib.request.Request(
        f"{airflow.url(platform.settings)}/auth/token",
        json.dumps({"username": user, "password": password}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["access_token"])


def passwords(platform: Any) -> Any:
    return json.loads(airflow.passwords_file(find_layout({"TIEOUT_HOME": str(platform.home)})).read_text())


def test_only_its_owner_reads_the_passwords(platform: Any) -> None:
    file = airflow.passwords_file(find_layout({"TIEOUT_HOME": str(platform.home)}))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(json.loads(file.read_text())) == {"admin", "viewer"}
    log = (platform.home / ".tieout" / "logs" / "airflow-api.log").read_text()
    assert log
    assert not [user for user, password in passwords(platform).items() if password in log]


def test_a_viewer_looks_and_triggers_nothing(platform: Any) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        token(platform, "admin", "guessed")
    bearer = token(platform, "viewer", passwords(platform)["viewer"])
    request = urllib.request.Request(
        f"{airflow.url(platform.settings)}/api/v2/dags/{PIPELINE}/dagRuns",
        b'{"logical_date": null}',
        {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"},
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=60)


def test_airflow_listens_on_loopback_only(platform: Any) -> None:
    ours = {process.pid for process in platform.processes()}
    sockets = [c for c in psutil.net_connections("inet") if c.status == psutil.CONN_LISTEN and c.pid in ours]
    ports = {c.laddr.port for c in sockets}
    assert {int(platform.settings[name]) for name in ("AIRFLOW_PORT", "DOCS_PORT")} <= ports
    assert {c.laddr.ip for c in sockets} <= LOOPBACK


def test_status_and_doctor_find_airflow_well_and_its_pipeline_paused_or_not(platform: Any) -> None:
    rows = {row["name"]: row for row in json.loads(platform.script("tieout", "status", "--json").stdout)["services"]}
    assert {rows[name]["state"] for name in airflow.NAMES} == {"running"}
    assert rows["lineage"]["url"].endswith(platform.settings["DOCS_PORT"])
    findings = json.loads(platform.script("tieout", "doctor", "--json").stdout)
    (dags,) = [each for each in findings if each["name"] == "dags"]
    assert dags["ok"], dags
    assert PIPELINE in dags["detail"]
    assert Rest(platform.settings).import_errors() == []


def test_the_lineage_site_answers(platform: Any) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{platform.settings['DOCS_PORT']}/", timeout=60) as page:
        assert b"<title>" in page.read()
