"""The loop `follow`: one warm process that repeats the way from the lake to the marts."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contracts.entities import all_topics
from control.accounts import Accounts
from control.restrict import ENDS_SESSIONS, LOCKS
from control.service import BATCH, BROKER, LAKE, MAY_GIVE_WAY, WAREHOUSE, Acl, Folder, KafkaUser, Role, Service
from core.layout import Layout

if TYPE_CHECKING:
    from contracts.model import Entity

# What the steps of a pipeline need, whoever repeats them.
STEPS = (
    *BROKER,
    *WAREHOUSE,
    *LAKE,
    *("KAFKA_PASSWORD_LOADER", "KAFKA_PASSWORD_AUDITOR", "POSTGRES_PASSWORD_LOADER", "POSTGRES_PASSWORD_DBT"),
    *("MAX_ROWS_PER_LOAD", "LOADER_MEMORY", "LOADER_LOCK_WAIT_SECONDS", "BRONZE_MAX_AGE"),
)


def _loader(entities: Sequence["Entity"]) -> Sequence[Acl]:
    return [Acl("READ", topic.name) for topic in entities[0].platform.control_topics.values()]


def _auditor(entities: Sequence["Entity"]) -> Sequence[Acl]:
    configured = [Acl("DESCRIBE_CONFIGS", entity.topic.name) for entity in entities]
    return [*configured, *(Acl("READ", topic.name) for topic in all_topics(entities))]


def _folders(layout: Layout, _: Accounts) -> list[Folder]:
    return [*(Folder(layout.state / name) for name in ("load", "dbt", "dbt-docs")), Folder(layout.logs / "dbt")]


SERVICE = Service(
    name="pipeline",
    place=23,
    command=lambda _: (sys.executable, "-P", "-m", "control", "run", "--follow", "--stream", "service"),
    knows=(*STEPS, "RUN_EVERY_SECONDS"),
    waits_for=("kafka", "postgres"),
    priority=BATCH,
    is_wanted=lambda settings: settings["LOOP"] == "follow",
    is_optional=True,
    folders=_folders,
    users=(KafkaUser("loader", _loader), KafkaUser("auditor", _auditor)),
    roles=(
        # One loader.
        Role("loader", 5, grants=("TEMPORARY ON DATABASE {database}", *MAY_GIVE_WAY), calls=(LOCKS,)),
        # dbt's threads. It may end its own sessions.
        Role("dbt", 12, grants=("TEMPORARY ON DATABASE {database}", *MAY_GIVE_WAY), calls=(LOCKS, ENDS_SESSIONS)),
    ),
)
