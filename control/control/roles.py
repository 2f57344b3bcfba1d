"""Roles and databases: what the superuser makes. Schemas and rights inside are the warehouse's migrations, as owner."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from control.registry import roles_of
from control.restrict import restrict
from control.service import Role, Services
from core.errors import TieoutError
from core.pooler import open_session
from core.postgres_login import PostgresTls

if TYPE_CHECKING:
    import psycopg

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
        **PostgresTls.of(settings).parameters(role),
    )


def wait_for_postgres(settings: Mapping[str, str], seconds: float = 60) -> None:
    """Return when the superuser can connect.

    Raises:
        TieoutError: not within the time, the password is not the cluster's, or a pooler is in between.
    """
    import psycopg

    deadline, last = time.monotonic() + seconds, "no answer"
    while time.monotonic() < deadline:
        try:
            open_session(dsn(settings, "postgres", "postgres")).close()
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


def ensure_roles(settings: Mapping[str, str], services: Services | None = None) -> None:
    """Bring roles, passwords, databases and the right to connect to what they should be; safe to repeat.

    Args:
        settings: with the passwords.
        services: whose roles; without them those of the plain services.
    """
    import psycopg

    roles, warehouse = roles_of(services), settings["POSTGRES_DB"]
    databases = {role.name: role.database or warehouse for role in roles}
    with psycopg.connect(dsn(settings, "postgres", "postgres"), autocommit=True) as superuser:
        with superuser.transaction():  # no session begins between the old defaults and the new ones
            for role in roles:
                _ensure_role(superuser, role.name, role.connections, settings[role.secret])
                for default in role.defaults:
                    superuser.execute(_compose(f"ALTER ROLE {{role}} SET {default}", role=role.name))
        for role in roles:
            if role.owns_database:
                _ensure_database(superuser, databases[role.name], role.name)
        everywhere = dict.fromkeys([warehouse, *databases.values(), "postgres", "template1"])
        for database in everywhere:
            superuser.execute(_compose("REVOKE ALL ON DATABASE {database} FROM PUBLIC", database=database))
    with psycopg.connect(dsn(settings, "postgres"), autocommit=True) as superuser:
        superuser.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for statement in GIVE_WAY:
            superuser.execute(statement)
    for database in everywhere:
        with psycopg.connect(dsn(settings, "postgres", database), autocommit=True) as superuser:
            for role in roles:
                if databases[role.name] == database:
                    _grant(superuser, role, database)
            restrict(superuser, roles)


def _grant(superuser: "psycopg.Connection[Any]", role: Role, database: str) -> None:
    connect = () if role.owns_database else ("CONNECT ON DATABASE {database}",)
    for grant in (*connect, *role.grants):
        superuser.execute(_compose(f"GRANT {grant} TO {{role}}", role=role.name, database=database))


def _compose(statement: str, **names: str) -> Any:
    from psycopg import sql

    return sql.SQL(statement).format(**{name: sql.Identifier(value) for name, value in names.items()})


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
