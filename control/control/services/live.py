"""The live view: this second's totals and alerts, straight from the topic."""

import sys
from collections.abc import Mapping
from typing import Any

from control.restrict import LOCKS
from control.service import BROKER, INTERACTIVE, MAY_GIVE_WAY, WAREHOUSE, Acl, KafkaUser, Role, Service, Settings
from core.layout import Layout
from core.locks import AdvisoryKey, is_advisory_held


def _check(_: Layout, settings: Settings, __: Mapping[str, Any]) -> str | None:
    """Ask the database whether a live view is at work: whoever counts holds its lock."""
    import psycopg

    from control.roles import dsn

    try:
        with psycopg.connect(dsn(settings, "postgres"), autocommit=True) as connection:
            is_held = is_advisory_held(connection, AdvisoryKey.LIVE, "live")
    except psycopg.OperationalError as error:
        return f"the database does not answer: {str(error).strip().splitlines()[0]}"
    return None if is_held else "it does not count yet"


SERVICE = Service(
    name="live",
    place=21,
    command=lambda _: (sys.executable, "-P", "-m", "control", "live"),
    knows=(
        *BROKER,
        *WAREHOUSE,
        *("KAFKA_PASSWORD_LIVE", "POSTGRES_PASSWORD_LIVE"),
        *("LIVE_BATCH_EVENTS", "LIVE_LINGER_MS", "LIVE_KEEP_PAYMENTS_HOURS"),
        *("LIVE_KEEP_SECONDS", "LIVE_KEEP_ALERTS_DAYS"),
    ),
    waits_for=("kafka", "postgres"),
    priority=INTERACTIVE,
    check=_check,
    users=(
        KafkaUser(
            "live",
            # It is about payments, which are the first entity.
            lambda entities: [
                Acl("READ", entities[0].topic.name),
                *(Acl("WRITE", topic.name) for topic in (entities[0].alerts_topic,) if topic),
            ],
        ),
    ),
    # The live view, and a person with an alert.
    roles=(Role("live", 5, grants=MAY_GIVE_WAY, calls=(LOCKS,)),),
)
