"""Roles and databases: what the superuser makes. Schemas and rights inside are the warehouse's migrations, as owner."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from control.restrict import restrict
from core.errors import TieoutError

if TYPE_CHECKING:
    import psycopg

# Connections each role may hold: one loader, dbt's threads, readers of dashboards, a person with dead
# letters, the live view and a person with an alert.
ROLES = {"owner": 5, "loader": 5, "dbt": 12, "reader": 15, "redrive": 3, "live": 5, "airflow": 30}

# A session's own process at the priority of what gives way: core.niceness asks for it. By a shell, since SQL has
# no such thing; the text is fixed, takes nothing from its caller, and a machine that refuses goes on as it was.
GIVE_WAY = (
    "CREATE SCHEMA IF NOT EXISTS control",
    """
    CREATE OR REPLACE FUNCTION control.give_way() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        COPY (SELECT) TO PROGRAM
            '{ renice -n 10 -p $PPID; echo 10 > /proc/$PPID/autogroup; } > /dev/null 2>&1; cat > /dev/null';
    EXCEPTION WHEN OTHERS THEN NULL;
    END $$
    """,
    "REVOKE ALL ON FUNCTION control.give_way() FROM PUBLIC",
    "GRANT USAGE ON SCHEMA control TO loader, dbt, live",
    "GRANT EXECUTE ON FUNCTION control.give_way() TO loader, dbt, live",
)


DEFAULTS = (
    # Grants are the guard; these two keep an honest reader from harm.
    "ALTER ROLE reader SET default_transaction_read_only = on",
    "ALTER ROLE reader SET statement_timeout = '15s'",
    # This one nobody but a superuser can change: what a question may write to disk while it is answered.
    "ALTER ROLE reader SET temp_file_limit = '1GB'",
)


def dsn(settings: Mapping[str, str], role: str, database: str | None = None) -> str:
    """Return the connection string of a role."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(
        host=settings["POSTGRES_HOST"],
        port=settings["POSTGRES_PORT"],
        dbname=database or settings["POSTGRES_DB"],
        user=role,
        password=settings[f"POSTGRES_PASSWORD_{role.upper()}"],
        connect_timeout="5",
        application_name="tieout control",
    )


def wait_for_postgres(settings: Mapping[str, str], seconds: float = 60) -> None:
    """Return when the superuser can connect.

    Raises:
        TieoutError: not within the time, or the password is not the cluster's.
    """
    import psycopg

    deadline, last = time.monotonic() + seconds, "no answer"
    while time.monotonic() < deadline:
        try:
            psycopg.connect(dsn(settings, "postgres", "postgres")).close()
        except psycopg.OperationalError as error:
            last = str(error).strip().splitlines()[0]
            if "password authentication failed" in last:
                raise TieoutError(
                    "PostgreSQL refuses POSTGRES_PASSWORD_POSTGRES: .env is not the one of this cluster.",
                    "the cluster is untouched.",
                    "put the old .env back, or start over with ./scripts/tieout reset",
                ) from error
            time.sleep(0.2)
        else:
            return
    raise TieoutError(
        f"postgres is not ready after {seconds:.0f} s: {last}",
        "the services that were started still run.",
        "./scripts/tieout logs postgres, or ./scripts/tieout doctor",
    )


def ensure_roles(settings: Mapping[str, str]) -> None:
    """Bring roles, passwords, databases and the right to connect to what they should be; safe to repeat."""
    import psycopg

    with psycopg.connect(dsn(settings, "postgres", "postgres"), autocommit=True) as superuser:
        with superuser.transaction():  # no session begins between the old defaults and the new ones
            for role, connections in ROLES.items():
                _ensure_role(superuser, role, connections, settings[f"POSTGRES_PASSWORD_{role.upper()}"])
            for statement in DEFAULTS:
                superuser.execute(statement)
        payments = settings["POSTGRES_DB"]
        _ensure_database(superuser, payments, "owner")
        _ensure_database(superuser, "airflow", "airflow")
        for statement in _connect_rights():
            superuser.execute(_compose(statement, payments))
    with psycopg.connect(dsn(settings, "postgres"), autocommit=True) as superuser:
        superuser.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for statement in GIVE_WAY:
            superuser.execute(statement)
    for database in (payments, "airflow", "postgres", "template1"):
        with psycopg.connect(dsn(settings, "postgres", database), autocommit=True) as superuser:
            restrict(superuser)


def _connect_rights() -> tuple[str, ...]:
    return (
        "REVOKE ALL ON DATABASE {payments}, airflow, postgres, template1 FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {payments} TO loader, dbt, reader, redrive, live",
        "GRANT TEMPORARY ON DATABASE {payments} TO loader, dbt",
    )


def _compose(statement: str, payments: str) -> Any:
    from psycopg import sql

    return sql.SQL(statement).format(payments=sql.Identifier(payments))


def _ensure_role(superuser: "psycopg.Connection[Any]", role: str, connections: int, password: str) -> None:
    from psycopg import sql

    there = superuser.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    verb = sql.SQL("ALTER ROLE" if there else "CREATE ROLE")
    # Sent as its verifier: a password in a statement could end up in a log.
    verifier = superuser.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    superuser.execute(
        sql.SQL("{} {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT {} PASSWORD {}").format(
            verb, sql.Identifier(role), sql.Literal(connections), sql.Literal(verifier)
        )
    )
    # Every role may change its own defaults: they are what they should be again from here on.
    superuser.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(role)))
    for (database,) in superuser.execute(
        "SELECT datname FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase"
        " WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = %s)",
        (role,),
    ).fetchall():
        superuser.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(sql.Identifier(role), sql.Identifier(database))
        )


def _ensure_database(superuser: "psycopg.Connection[Any]", name: str, owner: str) -> None:
    from psycopg import sql

    if superuser.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        superuser.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
