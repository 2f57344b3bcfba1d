"""A build in steps, for whoever runs dbt itself: begin it, let dbt run with its TIEOUT_BUILD_ID, finish it.

    tieout build --begin --run-id RUN    opens the build, fixes its loads, takes the lock for the run
    dbt build ...                        any number of times; what succeeds is written down in metadata.build_nodes
    tieout build --finish BUILD_ID       SUCCESS only when every model and test of the project succeeded in this build

Each step may be repeated, and killed at any moment: the same step again, or the next run's begin, goes on from the
books.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from control.build_project import project_hash
from core.errors import TieoutError
from core.layout import find_layout

LEFT = "what a build had begun is finished by the next one."


@contextmanager
def connect_books() -> Iterator[tuple[Any, str]]:
    """Connect for the books of builds; yield the connection and its address.

    Raises:
        DatabaseAwayError: the database is, or goes, away.
    """
    import psycopg

    from core.settings import load_settings
    from warehouse.errors import DatabaseAwayError, refused_value

    dsn = load_settings(find_layout()).dsn("dbt")
    try:
        with psycopg.connect(dsn, autocommit=True, application_name="tieout build books") as db:
            yield db, dsn
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, LEFT) from None
    except psycopg.DataError as error:
        raise refused_value(error, LEFT) from None


def begin_build(wish: Any) -> dict[str, Any]:
    """Open a run's build, or return the one that it has open.

    Args:
        wish: a build_books.Wish that names the run.

    Returns:
        build_id, status (OPEN, or UNCHANGED when there is nothing to do: no build is open then), full_refresh, loads,
        days, and env: what each dbt of the build has to have in its environment.

    Raises:
        OutageError: a build of another process is at work, or the database is away.
        TieoutError: the project has changed since the marts were built.
    """
    from control import build_books as books
    from control import build_lock as lock

    with connect_books() as (db, _):
        build_id = lock.take_for_run(db, wish.run_id)
        try:
            books.clear_leftovers(db, keep=build_id)
            plan = books.read_plan(db, build_id)
            if plan is None:
                # The lock may be of a build that is over: a step of it was repeated.
                lock.release(db, build_id)
                build_id = lock.take_for_run(db, wish.run_id)
                checkout = find_layout().checkout
                plan = books.open_build(db, build_id, project_hash(checkout / "transformation"), wish)
        except TieoutError:
            lock.release(db, build_id)
            raise
        if plan is None:
            lock.release(db, build_id)
    return {
        "build_id": str(plan.build_id) if plan else None,
        "status": "OPEN" if plan else "UNCHANGED",
        "run_id": wish.run_id,
        "full_refresh": bool(plan and plan.full_refresh),
        "loads": list(plan.loads) if plan else [],
        "days": [list(span) for span in plan.days] if plan else [],
        "lease_seconds": lock.LEASE_SECONDS,
        # One dbt of a run follows the other, so that an earlier one that is still connected was left by a kill.
        "env": {"TIEOUT_BUILD_ID": str(plan.build_id), "TIEOUT_INVOCATION": "run"} if plan else {},
    }


def finish_build(build: str, failed: str | None) -> dict[str, Any]:
    """Close a build and give its lock back; closing it again says how it ended.

    Args:
        build: its id.
        failed: why it failed, where the caller knows that it did.

    Returns:
        build_id, status and error.

    Raises:
        TieoutError: it is no success, for what it lacks or because it was closed as failed; or there is no such build.
    """
    from control import build_books as books
    from control import build_lock as lock

    build_id = _as_id(build)
    with connect_books() as (db, _):
        status, error = _state(db, build_id)
        if status == "RUNNING":
            books.clear_leftovers(db, keep=build_id)
            lacks = books.not_built(db, build_id)
            error = failed.strip()[:2000] if failed else _few(lacks) if lacks else None
            books.close_build(db, build_id, error)
            status, error = _state(db, build_id)
        lock.release(db, build_id)
    if status != "SUCCESS" and failed is None:
        raise TieoutError(
            f"the build failed at {error}",
            "each mart is as its last good statement left it; the next build goes on.",
            "./scripts/tieout build, once the cause is gone",
        )
    return {"build_id": str(build_id), "status": status, "error": error}


def _few(lacks: list[str]) -> str:
    return "; ".join(lacks[:3]) + (f" (and {len(lacks) - 3} more)" if len(lacks) > 3 else "")


def _as_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise _unknown(text) from None


def _unknown(build: object) -> TieoutError:
    return TieoutError(
        f"there is no build {build}.", "nothing was changed.", './scripts/tieout sql "select * from metadata.builds"'
    )


def _state(db: Any, build_id: uuid.UUID) -> tuple[str, str | None]:
    row: tuple[str, str | None] | None = db.execute(
        "select status, error from metadata.builds where build_id = %s", (build_id,)
    ).fetchone()
    if row is None:
        raise _unknown(build_id)
    return row
