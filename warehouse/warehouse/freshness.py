"""How new bronze is, and whether a run's loads took what the lake held for them."""

from datetime import datetime
from typing import Any

import psycopg

from contracts.entities import entity_names, load_entity, readable_entities
from core.lake import Lake, LakeTable
from core.layout import Layout
from core.parts import Parts
from core.settings import Settings
from warehouse.delta_log import Commit, commits_after, committed_at, read_commit, table_id
from warehouse.errors import DatabaseAwayError
from warehouse.read import open_workspace
from warehouse.watermark import read_watermark

NOTHING_READ = "nothing was read or written."
# Rows of a commit this young may have come after the run's load.
JUST_NOW_SECONDS = 15 * 60


def look_at_bronze(layout: Layout, settings: Settings, now: datetime) -> dict[str, Any]:
    """Return how many rows wait for a load, when the newest row arrived, and how old the newest commit with rows is.

    rows_waiting is of all entities. Age and arrival are those of the first entity that has rows: a later one may rest
    for days. entities says the same of each.

    Raises:
        TieoutError: the database is away, or the lake's log cannot be read. Where that is so of some entities only,
            `done` of the error says the same of the others.
    """
    lake, parts = Lake.of(settings, layout), Parts(entity_names())
    found = []
    for entity in readable_entities(parts):
        with parts.part(entity.name):
            seen = _look_at_table(lake.table(entity.bronze), layout, settings, now)
            found.append({"entity": entity.name, **seen})
    if found:
        parts.raise_failed(_of_all(found))
    parts.raise_failed()
    return _of_all(found)


def _of_all(found: list[dict[str, Any]]) -> dict[str, Any]:
    first = next((each for each in found if each["age_seconds"] is not None), found[0])
    return {
        "rows_waiting": sum(each["rows_waiting"] for each in found),
        "newest_arrival": first["newest_arrival"],
        "age_seconds": first["age_seconds"],
        "entities": found,
    }


def _look_at_table(bronze: LakeTable, layout: Layout, settings: Settings, now: datetime) -> dict[str, Any]:
    """Return the same of one table; rows_waiting is 0 and the others are None where it is not there or empty."""
    blank = {"rows_waiting": 0, "newest_arrival": None, "age_seconds": None}
    if not bronze.exists():
        return blank
    waiting = _waiting(bronze, settings)
    newest = next((c for c in reversed(waiting) if c.rows), None) or _newest_with_rows(bronze)
    if newest is None:
        return blank
    return {
        "rows_waiting": sum(commit.rows for commit in waiting),
        "newest_arrival": _newest_arrival(bronze, newest, layout, settings),
        "age_seconds": max(0, round((now - committed_at(bronze, newest.version)).total_seconds())),
    }


def look_at_loads(layout: Layout, settings: Settings, run_id: str, now: datetime) -> dict[str, Any]:
    """Return the loads of a run, what they read, what the lake's log holds for them, and what they left behind.

    An entity whose load failed in the run leaves nothing behind in silence: it is not counted.

    Raises:
        TieoutError: the database is away, or the lake's log cannot be read.
    """
    try:
        with psycopg.connect(settings.dsn("loader")) as connection:
            rows = connection.execute(
                "select load_id, status, from_version, to_version, rows_read + dead_letters, entity"
                " from metadata.load_audit where run_id = %s order by load_id",
                [run_id],
            ).fetchall()
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, NOTHING_READ) from None
    held, silent = 0, []
    failed = {entity for _, status, *_, entity in rows if status == "FAILED"}
    lake = Lake.of(settings, layout)
    for load_id, status, first, last, read, entity in rows:
        if status != "SUCCESS" or first is None or first > last:
            continue
        bronze = lake.table(load_entity(entity).bronze)
        identity = table_id(bronze)
        there = sum(read_commit(bronze, version, identity).rows for version in range(first, last + 1))
        held += there
        if there and not read:
            silent.append(load_id)
    entities = readable_entities(Parts(entity_names()))
    left = [
        commit
        for bronze in (lake.table(entity.bronze) for entity in entities if entity.name not in failed)
        for commit in (_waiting(bronze, settings) if bronze.exists() else ())
        if commit.rows and (now - committed_at(bronze, commit.version)).total_seconds() > JUST_NOW_SECONDS
    ]
    return {
        "run_id": run_id,
        "loads": [row[0] for row in rows if row[1] == "SUCCESS"],
        "rows_read": sum(row[4] or 0 for row in rows if row[1] == "SUCCESS"),
        "rows_in_range": held,
        "silent_loads": silent,
        "rows_left_behind": sum(commit.rows for commit in left),
    }


def _waiting(bronze: LakeTable, settings: Settings) -> tuple[Commit, ...]:
    try:
        with psycopg.connect(settings.dsn("loader")) as connection:
            watermark = read_watermark(connection, bronze.name)
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, NOTHING_READ) from None
    return tuple(commits_after(bronze, watermark.version if watermark else -1, table_id(bronze)))


def _newest_with_rows(bronze: LakeTable) -> Commit | None:
    identity = table_id(bronze)
    commits = (read_commit(bronze, version, identity) for version in bronze.versions_backwards())
    return next((commit for commit in commits if commit.rows), None)


def _newest_arrival(bronze: LakeTable, commit: Commit, layout: Layout, settings: Settings) -> str | None:
    """Return when the newest row of a commit arrived; a file that compaction replaced says nothing any more."""
    files = [file.path for file in commit.files if bronze.has(file.path)]
    with open_workspace(layout.state / "load", settings.loader_memory) as workspace:
        source = bronze.parquet(workspace, files)
        if source is None:
            return None
        newest = workspace.execute(f"select max(arrived_at) from {source}").fetchall()[0][0]  # noqa: S608  (our own files)
    return newest.isoformat() if newest else None
