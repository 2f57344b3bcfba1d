"""Functions that every role may call by default; here they are revoked.

Functions that take locks, end sessions or write are everybody's in a new database. They are taken back at each
provisioning, also in the template of databases to come, and given to the roles that need them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

# Pattern of functions of pg_catalog, and who may still call them.
RESTRICTED = {
    # Loads, migrations, builds, redrives and the live view wait for these locks; so does Airflow in its own database.
    r"^pg_.*advisory": ("owner", "loader", "dbt", "redrive", "live", "airflow"),
    # A role may end its own sessions: reader those of the dashboard.
    r"^pg_(cancel|terminate)_backend$": ("owner", "dbt", "airflow"),
    # Large objects, messages and snapshots are written without any right on a table.
    r"^(lo_.*|loread|lowrite|pg_notify|pg_logical_emit_message|pg_export_snapshot)$": (),
}

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


def restrict(superuser: "psycopg.Connection[Any]") -> None:
    """Take the functions back in the database that a superuser is connected to; safe to repeat."""
    from psycopg import sql

    for pattern, roles in RESTRICTED.items():
        superuser.execute(sql.SQL(RESTRICT).format(pattern=sql.Literal(pattern), roles=sql.Literal(list(roles))))
