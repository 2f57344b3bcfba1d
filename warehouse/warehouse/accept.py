"""`tieout load --accept-table`: go on with a table of the lake that was made anew in the place of the loaded one."""

from typing import Any

import psycopg

from contracts.entities import load_entities
from contracts.model import Entity
from core.errors import TieoutError
from core.lake import Lake, LakeTable
from core.layout import Layout, find_layout
from core.settings import Settings, load_settings
from warehouse import audit
from warehouse.delta_log import Commit, commits_after, newest_record, table_id
from warehouse.errors import DatabaseAwayError
from warehouse.watermark import Watermark, read_watermark, write_watermark

LEFT = "silver and the watermark are as the last load left them."
NOTHING_READ = -1


def accept_table(accepted: str, reason: str, *, settings: Settings | None = None, layout: Layout | None = None) -> None:
    """Set the watermark before the first commit of a new table of the lake.

    After a new bronze the next loads read both tables from their begin: what silver has is counted as already loaded,
    and nothing comes twice. After new dead letters they read those from their begin, and bronze from where it was.
    The reason stays in metadata.load_audit. Nothing is written unless the lake can be read that way.

    Args:
        accepted: the id of the new table, as the refusal named it.
        reason: the operator's words.

    Raises:
        TieoutError: no table of the lake has this id, it is the loaded one, it does not hold what is loaded, or a file
            that would have to be read again is gone.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    try:
        with (
            psycopg.connect(settings.dsn("loader"), autocommit=True, options="-c timezone=UTC") as connection,
            audit.only_loader(connection, settings.loader_lock_wait_seconds),
        ):
            _accept(connection, Lake.of(settings, layout), accepted, reason)
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(
            error, LEFT, f'./scripts/tieout load --accept-table {accepted} --reason "..."'
        ) from None


def _accept(connection: psycopg.Connection[Any], lake: Lake, accepted: str, reason: str) -> None:
    entity, name, tables = _find(lake, accepted)
    known = {each: read_watermark(connection, each) for each in (entity.bronze, entity.dead_letters)} if entity else {}
    loaded = known.get(name)
    if entity is None or loaded is None or loaded.table_id == accepted:
        raise TieoutError(
            f"there is no new table {accepted} in the lake: bronze and dead letters are "
            f"{' and '.join(map(table_id, tables.values())) or 'not there'}.",
            LEFT,
            "./scripts/tieout load, which names a table that is not the loaded one",
        )
    tables = {each: tables[each] for each in known if each in tables}
    _refuse_unfilled(name, newest_record(tables[name]), loaded)
    # Bronze is judged together with the dead letters between its offsets; new dead letters are read by themselves.
    again = tables if name == entity.bronze else {name: tables[name]}
    for each, table in again.items():
        commits = list(commits_after(table, NOTHING_READ, table_id(table)))
        _refuse_unreadable(table, commits)
        if each == name:
            _refuse_lost(connection, entity, name, loaded, commits)
    with connection.transaction():
        detail = f"{name} is {accepted} from now on, instead of {loaded.table_id}: {reason}"
        audit.fail_audit(connection, None, "TABLE_ACCEPTED", detail, entity=entity.name)
        for each, before in known.items():
            if before is not None and each in again:
                identity = accepted if each == name else before.table_id
                ends = {} if name == entity.bronze else before.ends
                write_watermark(connection, each, Watermark(identity, NOTHING_READ, before.topic_id, ends), None)


def _find(lake: Lake, accepted: str) -> tuple[Entity | None, str, dict[str, LakeTable]]:
    """Return whose table has an id, its name, and all tables that are there by name."""
    tables: dict[str, LakeTable] = {}
    found: tuple[Entity | None, str] = (None, "")
    for entity in load_entities():
        for name in (entity.bronze, entity.dead_letters):
            table = lake.table(name)
            if table.exists():
                tables[name] = table
                found = (entity, name) if table_id(table) == accepted else found
    return (*found, tables)


def _refuse_unfilled(name: str, record: tuple[str | None, dict[int, int]], loaded: Watermark) -> None:
    """Silver must not have what the lake has not: its rows would be without a source."""
    topic_id, ends = record
    short = [p for p, end in sorted(loaded.ends.items()) if ends.get(p, 0) < end]
    if topic_id == loaded.topic_id and not short:
        return
    at = f"partition {short[0]} up to {ends.get(short[0], 0)} of {loaded.ends[short[0]]}" if short else "another topic"
    raise TieoutError(
        f"the new {name} does not hold what is loaded: it has {at}.",
        LEFT,
        "./scripts/tieout stream --once, which fills it from Kafka, then the same again; restore data/ from a copy "
        "where Kafka no longer has the events",
    )


def _refuse_unreadable(table: LakeTable, commits: list[Commit]) -> None:
    """Every commit is read as it was written: files that were merged or have expired since must still be there."""
    there = table.sizes()
    gone = [(commit.version, file.path) for commit in commits for file in commit.files if file.path not in there]
    if gone:
        version, path = gone[0]
        raise TieoutError(
            f"{table} would have to be read again from its begin, and {len(gone)} of its files are gone: version "
            f"{version} names {path.rpartition('/')[2]}. They were merged into others, or have expired.",
            LEFT,
            "restore data/ from a copy that has them",
        )


def _refuse_lost(
    connection: psycopg.Connection[Any], entity: Entity, name: str, loaded: Watermark, commits: list[Commit]
) -> None:
    """A new table that was filled too late tells of losses: below what is loaded, silver has what the lake lost."""
    for lost in (lost for commit in commits if commit.topic_id == loaded.topic_id for lost in commit.lost):
        behind = min(lost.behind, loaded.ends.get(lost.partition, 0))
        span = (lost.partition, lost.begin, behind)
        count = _loaded_within(connection, loaded.topic_id, span, of_bronze=name == entity.bronze)
        if count:
            raise TieoutError(
                f"the new {name} does not hold what is loaded: partition {lost.partition} from {lost.begin} to "
                f"{lost.behind} was accepted as lost when it was filled, and {count} of these offsets are loaded.",
                LEFT,
                "restore data/ from a copy: Kafka no longer has the events",
            )


def _loaded_within(
    connection: psycopg.Connection[Any], topic_id: str | None, span: tuple[int, int, int], *, of_bronze: bool
) -> int:
    """Count the offsets of a span that the table had before: of bronze all that had a row, by the books."""
    partition, begin, behind = span
    if begin >= behind:
        return 0
    known = {"topic": topic_id, "partition": partition, "begin": begin, "behind": behind}
    row = connection.execute(
        """
        select coalesce(sum(upper(each) - lower(each)), 0)::bigint from unnest(
            int8multirange(int8range(%(begin)s, %(behind)s)) - (
                select coalesce(range_agg(int8range(start_offset, end_offset)), '{}') from metadata.lost_offsets
                where topic_id = %(topic)s and partition = %(partition)s) - (
                select coalesce(range_agg(offsets), '{}') from metadata.missing_offsets
                where topic_id = %(topic)s and partition = %(partition)s)) as each
        """
        if of_bronze
        else """
        select count(*) from raw.dead_letters
        where topic_id = %(topic)s and partition = %(partition)s and "offset" >= %(begin)s and "offset" < %(behind)s
        """,
        known,
    ).fetchone()
    return int(row[0]) if row else 0
