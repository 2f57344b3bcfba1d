"""The books of the loads themselves: one loader at a time, one audit row a load, orphans marked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from core.errors import OutageError
from core.locks import AdvisoryKey, hold_advisory
from core.schema_revision import require_revision
from warehouse.plan import LoadRange
from warehouse.read import Found


@contextmanager
def only_loader(connection: psycopg.Connection[Any], wait_seconds: float) -> Iterator[None]:
    """Hold the lock that one loader at a time has; it ends when the server has ended this session's work.

    A killed loader's session lives until the server notices, so that a short wait is worth it.

    Raises:
        OutageError: another loader holds it for longer than wait_seconds, or the schema is not this process's.
    """
    with hold_advisory(connection, AdvisoryKey.LOADER, wait_seconds, _busy):
        require_revision(connection)
        yield


def _busy(holder: str) -> OutageError:
    return OutageError(
        f"another load is running: {holder}.",
        "that load goes on undisturbed; this one has read and written nothing.",
        "./scripts/tieout status shows it; then ./scripts/tieout load again",
    )


def mark_orphans(connection: psycopg.Connection[Any]) -> list[int]:
    """Mark loads that never ended as FAILED; return their ids.

    Call it under the loader's lock: then none can be alive.
    """
    rows = connection.execute("""
        update metadata.load_audit set status = 'FAILED', finished_at = clock_timestamp(), error_code = 'ORPHAN',
            error_detail = 'the loader ended without a word; its transaction was rolled back',
            seconds = extract(epoch from clock_timestamp() - started_at)
        where status = 'RUNNING' returning load_id
    """).fetchall()
    return [int(row[0]) for row in rows]


def open_audit(connection: psycopg.Connection[Any], load: LoadRange, entity: str, run_id: str | None = None) -> int:
    """Write the RUNNING row of a load and return its id; the caller commits it before the load begins."""
    row = connection.execute(
        """
        insert into metadata.load_audit (status, from_version, to_version, dead_letter_from_version,
            dead_letter_to_version, run_id, entity)
        values ('RUNNING', %s, %s, %s, %s, %s, %s) returning load_id
        """,
        [
            load.from_version,
            load.bronze_watermark.version,
            load.dead_letter_from_version,
            load.dead_letter_watermark.version if load.dead_letter_watermark else None,
            run_id,
            entity,
        ],
    ).fetchone()
    if row is None:
        raise AssertionError("insert returning gave no row")
    return int(row[0])


def close_audit(
    connection: psycopg.Connection[Any], load_id: int, found: Found, path: str, counts: dict[str, int]
) -> dict[str, Any]:
    """Close a load's row as SUCCESS, inside the load's transaction; the database refuses an incomplete one.

    Args:
        connection: the loader's.
        load_id: the load.
        found: what the lake held.
        path: FRESH, or STAGE when some rows had to be judged there.
        counts: rows by book: NEW, DUPLICATE, REJECTED, ALREADY_LOADED, DEAD_LETTER.

    Returns:
        the load as `tieout load --json` shows it.
    """
    row = connection.execute(
        """
        update metadata.load_audit set status = 'SUCCESS', finished_at = clock_timestamp(), path = %s,
            seconds = extract(epoch from clock_timestamp() - started_at),
            rows_expected = %s, rows_read = %s, rows_loaded = %s, duplicates = %s, rejected = %s, already_loaded = %s,
            dead_letters_expected = %s, dead_letters_read = %s, dead_letters = %s
        where load_id = %s and status = 'RUNNING'
        returning load_id, from_version, to_version, seconds, entity
        """,
        [
            path,
            found.rows_expected,
            found.rows,
            counts["NEW"],
            counts["DUPLICATE"],
            counts["REJECTED"],
            counts["ALREADY_LOADED"],
            found.dead_letters_expected,
            found.dead_letters,
            counts["DEAD_LETTER"],
            load_id,
        ],
    ).fetchone()
    if row is None:
        raise AssertionError(f"audit row {load_id} is not RUNNING")
    return {
        "load_id": row[0],
        "entity": row[4],
        "versions": [row[1], row[2]],
        "rows_read": found.rows,
        "rows_loaded": counts["NEW"],
        "duplicates": counts["DUPLICATE"],
        "rejected": counts["REJECTED"],
        "already_loaded": counts["ALREADY_LOADED"],
        "dead_letters": counts["DEAD_LETTER"],
        "seconds": float(row[3]),
        "path": path,
        "status": "SUCCESS",
    }


def fail_audit(
    connection: psycopg.Connection[Any],
    load_id: int | None,
    code: str,
    detail: str,
    *,
    entity: str,
    run_id: str | None = None,
) -> None:
    """Mark a load FAILED; with no load id, write the row of a load that failed before it had one.

    Args:
        connection: the loader's, with no transaction open.
        load_id: the load.
        code: SQLSTATE, or the name of our own error.
        detail: constraint and coordinates, or our own words; never the text of a database error, which holds rows.
        entity: whose events it is about; used where the row is written here, as run_id is.
        run_id: the run that asked for it.
    """
    if connection.closed:
        return  # the next load finds it as an orphan
    if load_id is None:
        connection.execute(
            """
            insert into metadata.load_audit (status, finished_at, seconds, error_code, error_detail, run_id, entity)
            values ('FAILED', clock_timestamp(), 0, %s, %s, %s, %s)
            """,
            [code, detail, run_id, entity],
        )
        return
    connection.execute(
        """
        update metadata.load_audit set status = 'FAILED', finished_at = clock_timestamp(),
            seconds = extract(epoch from clock_timestamp() - started_at), error_code = %s, error_detail = %s
        where load_id = %s and status = 'RUNNING'
        """,
        [code, detail, load_id],
    )
