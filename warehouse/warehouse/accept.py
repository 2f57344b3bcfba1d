"""`tieout load --accept-table`: go on with a table of the lake that was made anew in the place of the loaded one."""

from typing import Any

import psycopg

from contracts.errors import TieoutError
from contracts.layout import Layout, find_layout
from warehouse import audit
from warehouse.delta_log import exists, newest_record, table_id
from warehouse.errors import DatabaseAwayError
from warehouse.settings import WarehouseSettings, read_settings
from warehouse.watermark import BRONZE, DEAD_LETTERS, Watermark, read_watermark, write_watermark

LEFT = "silver and the watermark are as the last load left them."
NOTHING_READ = -1


def accept_table(
    accepted: str, reason: str, *, settings: WarehouseSettings | None = None, layout: Layout | None = None
) -> None:
    """Set the watermark before the first commit of both of the lake's tables, one of which is a new one.

    The next loads read the lake from its begin: what silver has is counted as already loaded, and nothing comes twice.
    The reason stays in metadata.load_audit.

    Args:
        accepted: the id of the new table, as the refusal named it.
        reason: the operator's words.

    Raises:
        TieoutError: no table of the lake has this id, it is the loaded one, or it does not yet hold what is loaded.
    """
    layout = layout or find_layout()
    settings = settings or read_settings(layout)
    try:
        with (
            psycopg.connect(settings.dsn("loader"), autocommit=True, options="-c timezone=UTC") as connection,
            audit.only_loader(connection, settings.loader_lock_wait_seconds),
        ):
            _accept(connection, layout, accepted, reason)
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(
            error, LEFT, f'./scripts/tieout load --accept-table {accepted} --reason "..."'
        ) from None


def _accept(connection: psycopg.Connection[Any], layout: Layout, accepted: str, reason: str) -> None:
    tables = {
        name: path for name, path in ((BRONZE, layout.bronze), (DEAD_LETTERS, layout.dead_letters)) if exists(path)
    }
    known = {name: read_watermark(connection, name) for name in (BRONZE, DEAD_LETTERS)}
    name = next((name for name, path in tables.items() if table_id(path) == accepted), None)
    loaded = known[name] if name else None
    if name is None or loaded is None or loaded.table_id == accepted:
        raise TieoutError(
            f"there is no new table {accepted} in the lake: bronze and dead letters are "
            f"{' and '.join(table_id(path) for path in tables.values()) or 'not there'}.",
            LEFT,
            "./scripts/tieout load, which names a table that is not the loaded one",
        )
    _refuse_unfilled(name, newest_record(tables[name]), loaded)
    with connection.transaction():
        detail = f"{name} is {accepted} from now on, instead of {loaded.table_id}: {reason}"
        audit.fail_audit(connection, None, "TABLE_ACCEPTED", detail)
        for each, before in known.items():
            if before is not None:
                identity = accepted if each == name else before.table_id
                write_watermark(connection, each, Watermark(identity, NOTHING_READ, before.topic_id, {}), None)


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
