"""`tieout dlq write-off`: letters that nobody will put back leave the open books, with a reason and a name."""

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from contracts.control_total import Money, amounts_as_json, sum_amounts
from contracts.entities import entity_names
from core.errors import TieoutError
from warehouse.dlq.books import Connection, only_decider
from warehouse.dlq.listing import two_digits
from warehouse.dlq.selection import NOTHING, Selection, refuse_decided, where


def write_off(connection: Connection, selection: Selection, reason: str, name: str, *, dry_run: bool) -> dict[str, Any]:
    """Write off the open letters of a selection, all in one transaction.

    Args:
        connection: of role redrive.
        selection: which letters; one that is named by its offset and is decided refuses them all.
        reason: why, for the books.
        name: who answers for it.
        dry_run: only count.

    Raises:
        TieoutError: no letter is open, one is decided, or reason or name is blank.
    """
    if not reason.strip() or not name.strip():
        raise TieoutError("a write-off needs a reason and a name.", NOTHING, "--reason TEXT --name NAME")
    with only_decider(connection):
        if selection.offsets:
            refuse_decided(connection, selection)
        condition, values = where(selection.within("OPEN"), connection)
        with connection.transaction():
            # Counted and written off are the same letters, also when a load brings more meanwhile.
            connection.execute("set transaction isolation level repeatable read")
            query = sql.SQL(
                "select entity, currency, count(*), sum(amount) from metadata.dead_letter_book where {} group by 1, 2"
            ).format(condition)
            rows = connection.execute(query, values).fetchall()
            count = sum(row[2] for row in rows)
            if not count:
                raise TieoutError(
                    f"no letter of the selection {selection} is open.", NOTHING, "./scripts/tieout dlq list --state all"
                )
            if not dry_run:
                insert = sql.SQL(
                    'insert into metadata.letter_decisions (topic_id, partition, "offset", book, decision, reason, '
                    "name) "
                    "select topic_id, partition, \"offset\", book, 'WRITTEN_OFF', %s, %s "
                    "from metadata.dead_letter_book where {}"
                ).format(condition)
                connection.execute(insert, [reason.strip(), name.strip(), *values])
    said = {"reason": reason.strip(), "name": name.strip()}
    return {"ok": True, "dry_run": dry_run, **_summed(rows), **said, "entities": list(_by_entity(rows))}


def _by_entity(rows: list[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for entity in sorted({row[0] for row in rows}, key=entity_names().index):
        yield {"entity": entity, **_summed([row for row in rows if row[0] == entity])}


def _summed(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    amounts = sum_amounts({currency: Money(n, two_digits(amount))} for _, currency, n, amount in rows if currency)
    return {
        "letters": sum(n for _, _, n, _ in rows),
        "amounts": amounts_as_json(amounts),
        "unknown": sum(n for _, currency, n, _ in rows if not currency),
    }
