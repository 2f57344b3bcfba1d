"""What `tieout doctor` asks of the places: broker, database and Spark, here or elsewhere."""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from control.roles import dsn
from control.services.postgres import is_elsewhere
from core.errors import TieoutError
from core.kafka_certificates import certificate_error
from core.kafka_login import KafkaPlace
from core.pooler import open_session

SECONDS = 5.0


def ask_broker(values: Mapping[str, str]) -> str:
    """Return how the brokers are reached.

    Raises:
        TieoutError: none answers, something is wrong with a certificate, or there are fewer than topics need.
    """
    from kafka.errors import KafkaError

    from control.topics import administrator

    place, copies = KafkaPlace.of(values), int(values.get("KAFKA_REPLICATION") or "1")
    nothing = "nothing was changed."
    if wrong := certificate_error(place, "admin", nothing):
        raise wrong
    try:
        with administrator(values) as admin:
            there = len(admin.describe_cluster()["brokers"])
    except (KafkaError, OSError, AssertionError) as error:
        said = str(error) or type(error).__name__
        what = f"no broker of {place.bootstrap} lets admin in: {said}."
        raise TieoutError(what, nothing, "mend KAFKA_BOOTSTRAP in .env, or ./scripts/tieout logs kafka") from None
    if there < copies:
        raise TieoutError(
            f"{there} brokers are there, and KAFKA_REPLICATION is {copies}.", nothing, "./scripts/tieout logs kafka"
        )
    return f"{there} of {place.bootstrap}, {place.protocol}"


def ask_warehouse(values: Mapping[str, str]) -> str:
    """Return how the database is reached.

    Raises:
        TieoutError: it does not answer, or is behind a pooler that lends sessions.
    """
    import psycopg

    at = f"{values['POSTGRES_HOST']}:{values['POSTGRES_PORT']}"
    try:
        with open_session(dsn(values, "postgres", "postgres")) as connection:
            encrypted = connection.pgconn.ssl_in_use
            version = connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[0]
        what, then = f"{at} does not answer: {said}", "mend POSTGRES_HOST in .env, or ./scripts/tieout logs postgres"
        raise TieoutError(what, "nothing was changed.", then) from None
    mode = values.get("POSTGRES_SSLMODE") or "prefer"
    if is_elsewhere(values) and not encrypted:
        raise TieoutError(
            f"{at} is on another machine, and the connection is not encrypted.",
            "nothing was changed.",
            "set POSTGRES_SSLMODE=verify-full and POSTGRES_CA_FILE in .env",
        )
    how = f"encrypted, POSTGRES_SSLMODE={mode}" if encrypted else "on this machine"
    return f"PostgreSQL {version} at {at}, {how}"


def ask_spark(values: Mapping[str, str]) -> str:
    """Return where Spark's tasks run.

    Raises:
        TieoutError: the master does not answer.
    """
    master = values["SPARK_MASTER"]
    if not master.startswith("spark://"):
        return f"{master}, not asked" if not master.startswith("local") else master
    for address in master.removeprefix("spark://").split(","):
        found = urlsplit(f"spark://{address}")
        try:
            with socket.create_connection((found.hostname or "", found.port or 7077), timeout=SECONDS):
                return f"{master} answers"
        except OSError as error:
            said = error.strerror or str(error)
    raise TieoutError(f"no master of {master} answers: {said}.", "nothing was changed.", "mend SPARK_MASTER in .env")
