"""The warehouse as dbt's account sees it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow

from core.database_errors import DatabaseAwayError, refused_value
from core.layout import Layout, find_layout
from core.pooler import open_session
from core.settings import load_settings

Connection = psycopg.Connection[TupleRow]

LEFT = "what a build had begun is finished by the next one."
# A machine that vanished must not keep the lock of builds for hours, as PostgreSQL's own defaults would let it.
KEEPALIVES = "-c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


@contextmanager
def connect_as_dbt() -> Iterator[Connection]:
    """Connect with dbt's account; its name in the database tells which process this is.

    Raises:
        DatabaseAwayError: the database is, or goes, away.
    """
    name = f"tieout, process {os.getpid()}"
    try:
        with open_session(load_settings(find_layout()).dsn("dbt", options=KEEPALIVES, application=name)) as db:
            yield db
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, LEFT) from None
    except psycopg.DataError as error:
        raise refused_value(error, LEFT) from None


def dbt_environment(layout: Layout) -> dict[str, str]:
    """Return what dbt's profile wants to know of the database, by the settings.

    Raises:
        TieoutError: dbt's password is nowhere to be found.
    """
    settings = load_settings(layout)
    settings.dsn("dbt")
    password = settings.postgres_password_dbt
    return {
        "POSTGRES_HOST": settings.postgres_host,
        "POSTGRES_PORT": str(settings.postgres_port),
        "POSTGRES_DB": settings.postgres_db,
        "POSTGRES_SSLMODE": settings.postgres_sslmode,
        "POSTGRES_CA_FILE": settings.postgres_ca_file,
        "POSTGRES_CERTIFICATE_FILE": settings.postgres_certificate_file,
        "POSTGRES_KEY_FILE": settings.postgres_key_file,
        "POSTGRES_PASSWORD_DBT": password.get_secret_value() if password else "",
        "DO_NOT_TRACK": "1",
    }
