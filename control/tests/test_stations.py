"""Each entity has its own stations; people see those that have something to show."""

import psycopg
import pytest

from contracts.entities import load_entities, load_entity
from control.env import lake_of
from control.roles import dsn
from control.stations import read_stations
from control.status import as_text
from control.testing import temporary_platform, transaction
from spark_streaming.tables import create, stream_tables

pytestmark = pytest.mark.services
OF_AN_ENTITY = ["topic", "stream", "bronze", "dead letters", "silver", "marts"]


@pytest.fixture(scope="module")
def services():
    """Topics and a warehouse that hold these tests' events alone."""
    with temporary_platform() as handle:
        yield handle


def rows(services):
    found = {row["name"]: row for row in read_stations(services.platform.layout, services.env)}
    assert [name for name, row in found.items() if "error" in row] == []
    return found


def shown(services):
    stations = list(rows(services).values())
    lines = as_text({"services": [], "stations": stations}).splitlines()
    return [row["name"] for row in stations if any(line.startswith(f"{row['name']}  ") for line in lines)]


def test_an_entity_without_events_has_stations_for_machines_and_no_line_for_people(services):
    found = rows(services)
    both = [(f"{prefix}{name}", entity) for name in OF_AN_ENTITY
            for prefix, entity in (("", "transactions"), ("refunds ", "refunds"))]  # fmt: skip
    assert [(name, row["entity"]) for name, row in found.items() if "entity" in row] == both
    assert shown(services) == [*OF_AN_ENTITY, "event to gold", "proof", "live"]


def test_the_stations_of_an_entity_are_of_its_topic_its_tables_and_its_loads(services):
    refunds = load_entity("refunds")
    with transaction(services.env, [b"{}", b"{}"], partition=0, topic=refunds.topic.name):
        pass
    lake = lake_of(services.platform.layout, services.env)
    for table in stream_tables(lake, refunds):
        create(table)
    with psycopg.connect(dsn(services.env, "postgres")) as connection:
        for entity, reason in zip(load_entities(), ("NULL_VALUE", "EMPTY_VALUE"), strict=True):
            load = connection.execute(
                "insert into metadata.load_audit (entity, status) values (%s, 'RUNNING') returning load_id",
                [entity.name],
            ).fetchone()
            connection.execute(
                'insert into raw.dead_letters (topic_id, partition, "offset", reasons, arrived_at, load_id) '
                "values (%s, 0, 0, %s, now(), %s)",
                [entity.name, [reason], load[0]],
            )
    found = rows(services)
    assert (found["topic"]["count"], found["refunds topic"]["count"]) == (0, 3)  # the transaction's marker too
    assert (found["stream"]["events_behind"], found["refunds stream"]["events_behind"]) == (0, 3)
    assert found["dead letters"]["top_reasons"] == {"NULL_VALUE": 1}
    assert found["refunds dead letters"]["top_reasons"] == {"EMPTY_VALUE": 1}
    assert found["silver"]["last_load"] < found["refunds silver"]["last_load"]
    assert {"refunds topic", "refunds stream"} <= set(shown(services))
    assert "refunds bronze" not in shown(services)
