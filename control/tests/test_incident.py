"""Incidents go into the books once, to the webhook when there is one, and never with a row's content."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psycopg
import pytest
import typer

from control.check import seconds_of
from control.incident import write_incident
from control.roles import dsn
from control.testing import Handle, free_ports
from core.errors import OutageError

FAILED = {"dag_id": "pipeline", "task_id": "load", "run_id": "r1", "try_number": 1, "log_url": None}


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    told: list[Any] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    server.server_close()


@pytest.mark.services
def test_an_incident_is_written_once_and_the_webhook_told_once(
    services: Handle, monkeypatch: pytest.MonkeyPatch, webhook: tuple[str, list[Any]]
) -> None:
    for name, value in services.env.items():
        monkeypatch.setenv(name, value)
    address, told = webhook
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    first = write_incident({**FAILED, "reason": "kafka is away"}, nobody)
    assert first["sent"] is False
    again = [write_incident({**FAILED, "reason": "kafka is away"}, address) for _ in range(2)]
    assert {report["incident_id"] for report in again} == {first["incident_id"]}
    assert [(t["task_id"], t["reason"]) for t in told] == [("load", "kafka is away")]
    with psycopg.connect(dsn(services.env, "reader")) as db:
        rows = db.execute("select run_id, sent_at is not null from metadata.pipeline_incidents").fetchall()
    assert rows == [("r1", True)]


def test_without_a_database_the_webhook_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch, webhook: tuple[str, list[Any]]
) -> None:
    monkeypatch.setenv("POSTGRES_PORT", str(free_ports(1)[0]))
    monkeypatch.setenv("POSTGRES_PASSWORD_DBT", "any")
    address, told = webhook
    with pytest.raises(OutageError, match="the warehouse cannot be reached"):
        write_incident({**FAILED, "reason": "the database is away"}, address)
    assert told[0]["reason"] == "the database is away"


def test_spans_are_numbers_with_a_unit() -> None:
    assert [seconds_of(span, "--max-age") for span in ("90s", "15m", "26h", "365d")] == [90, 900, 93_600, 31_536_000]
    with pytest.raises(typer.BadParameter):
        seconds_of("soon", "--max-age")
