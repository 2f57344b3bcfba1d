"""The stream: from the topics to the lake, with Spark."""

import sys
from collections.abc import Mapping
from typing import Any

from control.accounts import Accounts
from control.restrict import LOCKS
from control.service import BATCH, BROKER, LAKE, WAREHOUSE, Acl, Address, Folder, KafkaUser, Role, Service, Settings
from core.layout import Layout


def _url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings['SPARK_UI_PORT']}"


def _check(layout: Layout, _: Settings, info: Mapping[str, Any]) -> str | None:
    from control.catching_up import stream_is_ready

    return None if stream_is_ready(layout, info.get("pid")) else "its queries have not begun"


def _folders(layout: Layout, _: Accounts) -> list[Folder]:
    return [Folder(layout.state / "spark"), Folder(layout.checkpoints, made="found")]


SERVICE = Service(
    name="stream",
    place=20,
    # Only Python gets the signal: it must stop its queries before its JVM ends.
    command=lambda _: (sys.executable, "-P", "-m", "control", "stream"),
    knows=(
        *BROKER,
        *WAREHOUSE,
        *LAKE,
        *("SPARK_UI_PORT", "SPARK_MASTER", "SPARK_DRIVER_MEMORY", "SPARK_JAVA_OPTIONS", "MAX_OFFSETS_PER_TRIGGER"),
        *("SPARK_DRIVER_HOST", "SPARK_DRIVER_BIND", "SPARK_PYTHON_ARCHIVE"),
        *("SPARK_EXECUTOR_MEMORY", "SPARK_EXECUTOR_CORES", "SPARK_AUTH_SECRET"),
        *("KAFKA_PASSWORD_STREAM", "POSTGRES_PASSWORD_READER", "POSTGRES_PASSWORD_STREAM"),
    ),
    ports=("SPARK_UI_PORT",),
    waits_for=("kafka",),
    priority=BATCH,
    stop_seconds=60,
    check=_check,
    url=_url,
    addresses=lambda platform: [Address("stream", _url(platform.settings), place=30)],
    folders=_folders,
    # The lease of a lake elsewhere, and no table.
    roles=(Role("stream", 4, calls=(LOCKS,)),),
    users=(
        KafkaUser(
            "stream",
            lambda entities: [
                Acl(operation, entity.topic.name) for entity in entities for operation in ("READ", "DESCRIBE_CONFIGS")
            ],
        ),
    ),
)
