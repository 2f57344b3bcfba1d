"""A lake, a database and a topic for the tests of letters, and what a person does with them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition
from own_database import OwnDatabase
from small_stream import CONTRACT
from test_letters import SOUND

from contracts.control_total import ControlTotal, parse_control_total
from contracts.event_json import to_json
from contracts.model import Entity
from core.kafka_login import kafka_python_login
from core.lake import Lake
from core.layout import Layout
from warehouse.dlq import commands
from warehouse.dlq.books import open_books
from warehouse.dlq.redrive import redrive
from warehouse.dlq.sender import Sender
from warehouse.dlq.sources import FromFile, FromLake
from warehouse.proof import run_proof


def sound(number: int, **changed: Any) -> dict[str, Any]:
    return SOUND | {"transaction_id": f"t{number}", **changed}


class Books:
    """A lake, a database and a topic, and what a person does with letters."""

    def __init__(self, settings: OwnDatabase, layout: Layout, stream: Any, load: Any, query: Any) -> None:
        self.settings, self.layout, self.stream, self.load, self.query = settings, layout, stream, load, query

    def send(self, *values: bytes | None) -> None:
        self.stream.send(values)
        self.take_in()

    def take_in(self) -> None:
        assert self.stream.drain()
        self.load()

    def redrive(
        self,
        *,
        file: str | None = None,
        rejected: bool = False,
        dry_run: bool = False,
        skip: bool = False,
        **which: Any,
    ) -> dict[str, Any]:
        """Redrive from a file, or a selection (every=True: all); with neither, only finish."""
        chosen = bool(which)
        which.pop("every", None)
        selection = commands.select(rejected=rejected, **which)
        source: Any = FromLake(Lake.of(self.settings, self.layout), selection, skip_decided=skip) if chosen else None
        if file:
            source = FromFile(Path(file), rejected=rejected, skip_decided=skip)
        with open_books(self.settings) as connection:
            return redrive(connection, source, self.sender, say=lambda _: None, dry_run=dry_run)

    def sender(self, entity: Entity) -> Sender:
        password = self.settings.kafka_password_redrive
        assert password is not None
        return Sender(self.settings.kafka_place, password.get_secret_value(), entity)

    def export(self, file: Path, *, rejected: bool = False, **which: Any) -> list[dict[str, Any]]:
        commands.export(commands.select(rejected=rejected, **which), file)
        return [json.loads(line) for line in file.read_bytes().splitlines()]

    def states(self) -> dict[str, int]:
        return dict(self.query("select state, count(*) from metadata.dead_letter_book group by 1"))

    def tie_out(self) -> None:
        """Every equation but those that wait for a build is OK, from the totals and from the lake itself."""
        for full in (False, True):
            equations = run_proof(full, settings=self.settings, layout=self.layout)["equations"]
            assert "E1" in {e["name"] for e in equations}
            wrong = [e for e in equations if e["verdict"] == "DIFFERENT"]
            assert not wrong
            assert {e["verdict"] for e in equations if e["name"] in ("E1", "E2")} == {"OK"}


def control_totals(env: Mapping[str, str], run: str) -> list[ControlTotal]:
    """Return the control totals of a feed, as anybody can read them."""
    name = CONTRACT.platform.control_topics["redrive"].name
    consumer = KafkaConsumer(
        **kafka_python_login(env["KAFKA_BOOTSTRAP"], "auditor", env["KAFKA_PASSWORD_AUDITOR"]),
        group_id=None,
    )
    try:
        partition = TopicPartition(name, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end, found = consumer.end_offsets([partition])[partition], []
        while consumer.position(partition) < end:
            found += [m for messages in consumer.poll(timeout_ms=1000).values() for m in messages]
        return [parse_control_total(m.value) for m in found if m.key == run.encode()]
    finally:
        consumer.close()


def mend(lines: list[dict[str, Any]], file: Path, first: int = 0) -> None:
    """Put a sound payment into each line."""
    for number, line in enumerate(lines, first):
        for name in ("payload", "payload_text", "payload_base64"):
            line.pop(name, None)
        line["payload"] = orjson.Fragment(to_json(sound(number)))
    file.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
