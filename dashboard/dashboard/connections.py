"""How other tools reach the warehouse: the lines to copy, without the password."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.settings import Settings

ROLE = "reader"
SCHEMAS = "marts,metadata"


@dataclass(frozen=True)
class Line:
    """What to paste, where, and in which language it is coloured."""

    title: str
    text: str
    language: str
    hint: str


def reader_dsn(settings: Settings) -> str:
    """Return the connection string of the pages: the role reader, which waits ten seconds for an answer.

    Raises:
        TieoutError: its password is nowhere to be found.
    """
    options = "-c statement_timeout=10s -c default_transaction_read_only=on -c timezone=UTC"
    return settings.dsn(ROLE, application="tieout dashboard", connect_timeout=5, options=options)


def details(settings: Settings) -> dict[str, str]:
    """Return the four things that every tool's form asks for."""
    return {
        "Host": settings.postgres_host,
        "Port": str(settings.postgres_port),
        "Database": settings.postgres_db,
        "User": ROLE,
    }


def lines(settings: Settings) -> Iterator[Line]:
    """Yield a line for each way in; none has the password in it."""
    host, port, name = settings.postgres_host, settings.postgres_port, settings.postgres_db
    yield Line(
        "psql",
        f"psql 'host={host} port={port} dbname={name} user={ROLE} options=-csearch_path={SCHEMAS}'",
        "bash",
        "Asks for the password. On this machine ./scripts/tieout sql needs neither psql nor a password.",
    )
    yield Line(
        "JDBC",
        f"jdbc:postgresql://{host}:{port}/{name}?user={ROLE}&currentSchema={SCHEMAS}&readOnly=true&sslmode=disable",
        "text",
        "DBeaver, DataGrip, Tableau, Spark, Metabase and every other tool on the JVM.",
    )
    yield Line(
        "ODBC",
        f"Driver={{PostgreSQL Unicode}};Server={host};Port={port};Database={name};Uid={ROLE};"
        "SSLmode=disable;ReadOnly=1",
        "text",
        "Excel, Power BI and Qlik with the driver psqlODBC; a password goes to the end as Pwd=...",
    )
    yield Line(
        "Python",
        "import pandas, sqlalchemy\n\n"
        f'warehouse = sqlalchemy.create_engine("postgresql+psycopg://{ROLE}@{host}:{port}/{name}")\n'
        'days = pandas.read_sql_table("daily_revenue_summary", warehouse, schema="marts")',
        "python",
        "libpq takes the password from the variable PGPASSWORD or from ~/.pgpass.",
    )
    yield Line(
        "From another machine",
        f"ssh -N -L {port}:{host}:{port} USER@THIS_MACHINE",
        "bash",
        "The warehouse listens on this machine only. With the tunnel open, the same lines work over there.",
    )
