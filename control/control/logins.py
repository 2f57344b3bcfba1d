"""Whether every account's password in `.env` is the one that broker and database know."""

import logging
import socket
from collections.abc import Mapping

from control.registry import roles_of, users_of
from control.roles import dsn
from control.service import Services
from core.kafka_certificates import certificate_error
from core.kafka_login import KafkaPlace, kafka_python_login


def refused_logins(settings: Mapping[str, str], services: Services | None = None) -> list[str]:
    """Return the names of the passwords that are refused; an empty list when every account gets in.

    Args:
        settings: with the passwords.
        services: whose accounts; without them those of the plain services.

    Raises:
        OSError: the database or the broker is away.
        TieoutError: something is wrong with a certificate.
    """
    databases = {"postgres": "postgres", **{role.name: role.database for role in roles_of(services)}}
    users = ("admin", *(user.name for user in users_of(services)))
    roles = [role for role, database in databases.items() if not _sql_lets_in(settings, role, database)]
    return [
        *(f"POSTGRES_PASSWORD_{role.upper()}" for role in roles),
        *(f"KAFKA_PASSWORD_{user.upper()}" for user in users if not _kafka_lets_in(settings, user)),
    ]


def _sql_lets_in(settings: Mapping[str, str], role: str, database: str | None) -> bool:
    import psycopg

    try:
        psycopg.connect(dsn(settings, role, database)).close()
    except psycopg.OperationalError as error:
        if "authentication failed" in str(error):
            return False
        raise OSError(str(error).strip().splitlines()[0]) from error
    return True


def _kafka_lets_in(settings: Mapping[str, str], user: str) -> bool:
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # refusals are raised; it logs each of them as well
    host, _, port = settings["KAFKA_BOOTSTRAP"].partition(",")[0].rpartition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    try:
        KafkaAdminClient(
            **kafka_python_login(KafkaPlace.of(settings), user, settings[f"KAFKA_PASSWORD_{user.upper()}"]),
            bootstrap_timeout_ms=5_000,
        ).close()
    except KafkaError as error:
        if wrong := certificate_error(KafkaPlace.of(settings), user, "nothing was changed."):
            raise wrong from error
        # A wrong password shows as a broker that never lets the client begin.
        return False
    return True
