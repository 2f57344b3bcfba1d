# ruff: noqa: S608  (FROM clauses are of our own files)
"""What a table of the lake holds, to the byte and to the cent: so that a copy of it can be proven equal."""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from contracts.entities import load_entities
from core.lake import LakeTable
from core.places import Place

LOG = "_delta_log/"
PIECE = 8 << 20


def digest(place: Place, name: str) -> str:
    """Return the SHA-256 of a file.

    Raises:
        FileNotFoundError: it is not there.
    """
    found = hashlib.sha256()
    with place.open_input(name) as file:
        while piece := file.read(PIECE):
            found.update(piece)
    return found.hexdigest()


def contents_of(table: LakeTable, version: int, spill: Path, memory: str) -> dict[str, Any]:
    """Return what a version of a table holds: ids, recorded ends, rows, and count and exact amount by currency.

    Args:
        table: of the lake.
        version: of the table.
        spill: folder for DuckDB's spilled data.
        memory: limit such as 1GB.
    """
    from warehouse.delta_log import newest_record, table_id
    from warehouse.read import open_workspace

    has_amounts = any(table.name == entity.bronze for entity in load_entities())
    topic_id, ends = newest_record(table, version)
    rows, sums = 0, dict[str, list[Any]]()
    with open_workspace(spill, memory) as workspace:
        for source in table.portions(workspace, table.files(version)):
            rows += workspace.execute(f"select count(*) from {source}").fetchall()[0][0]
            for currency, count, amount in _amounts(workspace, source) if has_amounts else ():
                known = sums.setdefault(str(currency), [0, Decimal(0)])
                known[0], known[1] = known[0] + count, known[1] + (amount or 0)
    return {
        "table_id": table_id(table),
        "topic_id": topic_id,
        "ends": {str(partition): end for partition, end in sorted(ends.items())},
        "rows": rows,
        "amounts": {currency: {"count": n, "amount": str(amount)} for currency, (n, amount) in sorted(sums.items())},
    }


def _amounts(workspace: Any, source: str) -> Iterator[tuple[str | None, int, Decimal | None]]:
    query = f"select currency, count(*), sum(amount) from {source} group by 1 order by 1"
    yield from workspace.execute(query).fetchall()
