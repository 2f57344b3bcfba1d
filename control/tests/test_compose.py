import re

import pytest
import yaml

from control import airflow
from control.env import SECRETS, ensure_env
from control.registry import plain_services
from core.layout import CHECKOUT, find_layout

COMPOSE = CHECKOUT / "docker-compose.yml"


@pytest.fixture(scope="module")
def parts():
    found = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(found) >= {"kafka", "postgres", "provision", "stream", "pipeline", "producer", "lineage"}
    assert set(found) >= {
        "airflow-init",
        "airflow-api",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
    }
    return found


def test_images_are_official_or_built_here(parts):
    images = {part["image"] for part in parts.values()}
    assert images == {"apache/kafka:4.3.1", "postgres:18", "tieout:local", "tieout-airflow:local"}
    bases = {"Dockerfile": "python:3.11-slim-bookworm", "airflow.Dockerfile": "apache/airflow:3.3.2-python3.11"}
    for name, base in bases.items():
        text = (CHECKOUT / "control" / "compose" / name).read_text()
        assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == [base]
        assert "--uid 990" in text, "both images write the same files, so they need the same account"


def test_airflow_is_the_version_of_the_lock():
    lock = (CHECKOUT / "airflow" / "requirements.txt").read_text()
    image = (CHECKOUT / "control" / "compose" / "airflow.Dockerfile").read_text()
    for package in ("apache-airflow", "astronomer-cosmos"):
        (version,) = re.findall(rf"^{package}==(\S+)", lock, re.MULTILINE)
        assert f'"{package}=={version}"' in image


def test_airflow_is_set_as_it_is_without_containers(parts, tmp_path):
    layout = find_layout({"TIEOUT_HOME": str(tmp_path)})
    here = airflow.environment(layout, ensure_env(layout), airflow.API)
    there = parts["airflow-api"]["environment"]
    same = {name for name in there if name.startswith("AIRFLOW__") and not {"$", "/"} & set(there[name])}
    assert len(same) >= 8
    assert {name: there[name] for name in same} == {name: here[name] for name in same}


def test_there_is_no_password_but_those_of_the_settings_file():
    text = COMPOSE.read_text()
    passwords = re.findall(
        r"^\s+(\w*(?:PASSWORD|HASH_KEY|SECRET|FERNET|TOKEN)\w*(?<!_FILE)): (\S.*)$", text, re.MULTILINE
    )
    assert len(passwords) > 15
    for _, value in passwords:
        found = re.fullmatch(r"\$\{(\w+):\?run \./scripts/setup\.sh\}", value)
        assert found, value
        assert found[1] in SECRETS
    assert ":-" not in text


def test_ports_are_published_on_loopback_only(parts):
    ports = [port for part in parts.values() for port in part.get("ports", [])]
    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in part for part in parts.values())


def test_every_part_has_a_memory_limit_and_every_lasting_part_a_health_check(parts):
    for name, part in parts.items():
        assert re.fullmatch(r"\d+[mg]", part["mem_limit"]), name
        if name not in {"provision", "airflow-init"}:
            assert part["healthcheck"]["test"][0] == "CMD", name


def test_the_same_parts_give_way_as_among_the_services(parts):
    assert {name for name, part in parts.items() if "cpu_shares" in part} == {
        *("stream", "pipeline", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
    }


def test_jobs_know_no_more_secrets_than_the_services_do(parts):
    for name in ("stream", "live", "pipeline", "dashboard", "producer"):
        secrets = set(parts[name]["environment"]) & set(SECRETS)
        assert secrets == set(plain_services()[name].knows) & set(SECRETS), name
