"""Functions that every role may call by default; here they are revoked. `Role.calls` says who gets which back.

Functions that take locks, end sessions or write are everybody's in a new database. They are taken back at each
provisioning, also in the template of databases to come, and given to the roles that need them.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from control.service import Role

# Patterns of functions of pg_catalog.
# Loads, migrations, builds, redrives and the live view wait for these locks; so does Airflow in its own database.
LOCKS = r"^pg_.*advisory"
# A role may end its own sessions: reader those of the dashboard.
ENDS_SESSIONS = r"^pg_(cancel|terminate)_backend$"
# Large objects, messages and snapshots are written without any right on a table.
WRITES = r"^(lo_.*|loread|lowrite|pg_notify|pg_logical_emit_message|pg_export_snapshot)$"
RESTRICTED = (LOCKS, ENDS_SESSIONS, WRITES)

RESTRICT = """
DO $$
DECLARE
    called regprocedure;
    trusted text;
BEGIN
    FOR called IN
        SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ {pattern}
    LOOP
        IF has_function_privilege('public', called, 'EXECUTE') THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', called);
        END IF;
        FOREACH trusted IN ARRAY {roles}::text[] LOOP
            IF NOT has_function_privilege(trusted, called, 'EXECUTE') THEN
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', called, trusted);
            END IF;
        END LOOP;
    END LOOP;
END $$
"""


def restrict(superuser: "psycopg.Connection[Any]", roles: "Iterable[Role]") -> None:
    """Take the functions back in the database that a superuser is connected to; safe to repeat."""
    from psycopg import sql

    roles = tuple(roles)
    for pattern in RESTRICTED:
        trusted = [role.name for role in roles if pattern in role.calls]
        superuser.execute(sql.SQL(RESTRICT).format(pattern=sql.Literal(pattern), roles=sql.Literal(trusted)))
