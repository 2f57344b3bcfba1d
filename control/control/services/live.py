"""The live view: this second's totals and alerts, straight from the topic."""

import sys
from collections.abc import Mapping
from typing import Any

from control.restrict import LOCKS
from control.service import BROKER, GIVES_WAY, INTERACTIVE, WAREHOUSE, Acl, KafkaUser, Role, Service, Settings
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
            lambda contract: [
                Acl("READ", contract.topics["transactions"].name),
                Acl("WRITE", contract.topics["alerts"].name),
            ],
        ),
    ),
    # The live view, and a person with an alert.
    roles=(Role("live", 5, grants=GIVES_WAY, calls=(LOCKS,)),),
)
