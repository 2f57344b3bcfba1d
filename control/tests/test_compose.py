import re

import pytest
import yaml

from contracts.layout import CHECKOUT
from control.env import SECRETS
from control.services import KNOWS

COMPOSE = CHECKOUT / "docker-compose.yml"


@pytest.fixture(scope="module")
def parts():
    found = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(found) == {"kafka", "postgres", "provision", "stream", "pipeline", "producer"}
    return found


def test_images_are_official_or_built_here(parts):
    images = {part["image"] for part in parts.values()}
    assert images == {"apache/kafka:4.3.1", "postgres:18", "tieout:local"}
    base = (CHECKOUT / "control" / "compose" / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", base, re.MULTILINE) == ["python:3.11-slim-bookworm"]


def test_there_is_no_password_but_those_of_the_settings_file():
    text = COMPOSE.read_text()
    passwords = re.findall(r"^\s+(\w*(?:PASSWORD|HASH_KEY)\w*): (\S.*)$", text, re.MULTILINE)
    assert len(passwords) > 15
    for _, value in passwords:
        found = re.fullmatch(r"\$\{(\w+):\?run \./scripts/setup\.sh\}", value)
        assert found, value
        assert found[1] in SECRETS
    assert ":-" not in text


def test_ports_are_published_on_loopback_only(parts):
    ports = [port for part in parts.values() for port in part.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in part for part in parts.values())


def test_every_part_has_a_memory_limit_and_every_lasting_part_a_health_check(parts):
    for name, part in parts.items():
        assert re.fullmatch(r"\d+[mg]", part["mem_limit"]), name
        if name != "provision":
            assert part["healthcheck"]["test"][0] == "CMD", name


def test_jobs_know_no_more_secrets_than_the_services_do(parts):
    for name in ("stream", "pipeline", "producer"):
        secrets = set(parts[name]["environment"]) & set(SECRETS)
        assert secrets == set(KNOWS[name]) & set(SECRETS), name
