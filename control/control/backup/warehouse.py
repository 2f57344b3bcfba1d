"""The warehouse's part of a backup: a dump of one snapshot, what that snapshot has, and the way back."""

import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from contracts.entities import load_entities
from control.backup.manifest import StoredFile
from control.lake_contents import PIECE
from control.progress import say
from control.roles import dsn
from control.services.postgres import client_program
from core.errors import OutageError, TieoutError
from core.places import Place
from core.postgres_login import PostgresTls

if TYPE_CHECKING:
    import psycopg

# A table that a build drops or makes anew between the snapshot and the dump's lock is gone for the dump.
TRIES = 5
PAUSE_SECONDS = 3.0
# In words of pg_dump: what a table or index that is made anew meanwhile, or a database that is away, makes it say.
PASSES = (
    "does not exist", "could not open relation", "cache lookup failed", "lock timeout", "connection to server",
    "server closed",
)  # fmt: skip
LOCK_WAIT_SECONDS = 120
LEFT = "the warehouse is unchanged; nothing there is a backup yet."

_TABLES = """
select format('%%I.%%I', n.nspname, c.relname), n.nspname || '.' || c.relname, array(
    select attname::text from pg_attribute where attrelid = c.oid and attname in ('currency', 'amount')
)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname = any(%s) order by 2
"""
# The live view's own is left out: it expires, and is opened again.
_SCHEMAS = ["raw", "metadata", "staging", "intermediate", "marts"]


@contextmanager
def snapshot(settings: Mapping[str, str]) -> Iterator[tuple["psycopg.Connection[Any]", str]]:
    """Yield a superuser's session that sees one moment of the warehouse, and the name under which pg_dump sees it."""
    import psycopg

    try:
        with psycopg.connect(dsn(settings, "postgres"), autocommit=True) as connection:
            connection.execute("set idle_in_transaction_session_timeout = 0")
            connection.execute("begin isolation level repeatable read read only")
            row = connection.execute("select pg_export_snapshot()").fetchone()
            yield connection, str(row[0]) if row else ""
            connection.execute("commit")
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise OutageError(f"the database does not answer: {reason}", LEFT, "./scripts/tieout doctor") from None


def describe(connection: "psycopg.Connection[Any]") -> dict[str, Any]:
    """Return what a session sees of the warehouse: migration, how far loads have read, rows, amounts by currency."""
    migration = connection.execute("select version_num from metadata.alembic_version").fetchone()
    read = connection.execute("select lake_table, version, table_id from metadata.load_watermark order by 1").fetchall()
    rows, amounts = dict[str, int](), dict[str, dict[str, Any]]()
    for table, name, money in connection.execute(_TABLES, [_SCHEMAS]).fetchall():
        if len(money) == 2:
            counted = connection.execute(
                f"select currency, count(*), sum(amount) from {table} group by 1 order by 1"  # noqa: S608
            ).fetchall()
            rows[name] = sum(count for _, count, _ in counted)
            amounts[name] = {str(currency): {"count": n, "amount": str(amount)} for currency, n, amount in counted}
        else:
            found = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608
            rows[name] = int(found[0]) if found else 0
    return {
        "migration": migration[0] if migration else None,
        "read": {table: {"version": version, "table_id": table_id} for table, version, table_id in read},
        "rows": rows,
        "amounts": amounts,
    }


def dump(settings: Mapping[str, str], place: Place, name: str) -> tuple[StoredFile, dict[str, Any]]:
    """Write a dump of one snapshot, and return it with what `describe` says of the same snapshot.

    Loads, builds and readers go on. What changes a table's form, such as a full refresh, waits for the dump's end.

    Raises:
        OutageError: the database is away, or tables are made anew again and again meanwhile.
        TieoutError: pg_dump failed otherwise; its own words are named.
    """
    for tries_left in reversed(range(TRIES)):
        with snapshot(settings) as (connection, exported):
            try:
                file = _dump(settings, place, name, exported)
                return file, _describe(connection)
            except OutageError:
                place.remove(name)
                if not tries_left:
                    raise
                say("  a table was made anew while the dump began; it begins again")
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def _describe(connection: "psycopg.Connection[Any]") -> dict[str, Any]:
    """Describe what was dumped; not before, so that nobody waits for this session while it waits for pg_dump."""
    from psycopg.errors import UndefinedTable

    try:
        return describe(connection)
    except UndefinedTable as error:
        words = str(error).splitlines()[0]
        raise OutageError(f"a table was made anew meanwhile: {words}", LEFT, "./scripts/tieout backup again") from None


def _dump(settings: Mapping[str, str], place: Place, name: str, exported: str) -> StoredFile:
    command = [client_program("pg_dump", settings), "--format=custom", f"--snapshot={exported}", "--no-password"]
    command += [f"--lock-wait-timeout={LOCK_WAIT_SECONDS}s", *_where(settings, settings["POSTGRES_DB"])]
    found, size = hashlib.sha256(), 0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=_login(settings), stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None  # noqa: S101  # a pipe was asked for
        try:
            with place.open_output(name) as file:
                while piece := process.stdout.read(PIECE):
                    file.write(piece)
                    found.update(piece)
                    size += len(piece)
                if process.wait() != 0:
                    raise _failed("pg_dump", errors)
        finally:
            process.stdout.close()
            process.kill()
            process.wait()
    return StoredFile(name, size, found.hexdigest())


def restore(settings: Mapping[str, str], place: Place, file: StoredFile) -> None:
    """Put a dump in the place of the warehouse's database. Roles and what they may do outside of it are set-up's.

    Raises:
        TieoutError: pg_restore failed, which leaves an empty database.
    """
    import psycopg
    from psycopg import sql

    name = sql.Identifier(settings["POSTGRES_DB"])
    with psycopg.connect(dsn(settings, "postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("drop database if exists {} with (force)").format(name))
        superuser.execute(sql.SQL("create database {} owner owner").format(name))
    command = [client_program("pg_restore", settings), "--exit-on-error", "--single-transaction", "--no-password"]
    command += _where(settings, settings["POSTGRES_DB"])
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=_login(settings), stdin=subprocess.PIPE, stderr=errors)
        assert process.stdin is not None  # noqa: S101  # a pipe was asked for
        try:
            with place.open_input(file.name) as source:
                while piece := source.read(PIECE):
                    process.stdin.write(piece)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended before its input; its own words say why
        finally:
            code = process.wait()
        if code != 0:
            raise _failed("pg_restore", errors)
    with psycopg.connect(dsn(settings, "postgres"), autocommit=True) as superuser:
        superuser.execute("analyze")


def is_empty(settings: Mapping[str, str]) -> bool:
    """Say whether no load has brought anything into the warehouse."""
    import psycopg

    with psycopg.connect(dsn(settings, "postgres"), autocommit=True) as connection:
        tables = ("metadata.load_audit", *(entity.silver for entity in load_entities()))
        there = " or ".join(f"exists (select from {table})" for table in tables)
        row = connection.execute(f"select {there}".encode()).fetchone()
    return not (row and row[0])


def _where(settings: Mapping[str, str], database: str) -> list[str]:
    place = [f"--host={settings['POSTGRES_HOST']}", f"--port={settings['POSTGRES_PORT']}", "--username=postgres"]
    return [*place, f"--dbname={database}"]


def _login(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a client of the superuser: an argument could be read by everybody here."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"} | {
        "PGPASSWORD": settings["POSTGRES_PASSWORD_POSTGRES"],
        "PGCONNECT_TIMEOUT": "10",
        **PostgresTls.of(settings).environment("postgres"),
    }


def _failed(program: str, errors: IO[bytes]) -> TieoutError:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").splitlines()
    # An error may quote rows; its first line does not.
    words = next((line for line in lines if "error:" in line), lines[0] if lines else "no message")[:300]
    if program == "pg_dump" and any(each in line for line in lines for each in PASSES):
        return OutageError(f"pg_dump could not go on: {words}", LEFT, "./scripts/tieout backup again")
    return TieoutError(f"{program} failed: {words}", "the lake is unchanged.", "./scripts/tieout doctor")
