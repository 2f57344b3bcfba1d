"""The schema of the warehouse that this process's code was written for.

A process may sleep, with its code in memory, while the schema becomes another one. Who takes a lock to write asks here
first: a migration holds all those locks, so that the answer stays true until the lock is given back.
"""

from pathlib import Path
from typing import Any

from core.errors import OutageError
from core.layout import CHECKOUT

MIGRATIONS = CHECKOUT / "warehouse" / "warehouse" / "migrations" / "versions"


def newest_revision(folder: Path = MIGRATIONS) -> str:
    """Return the revision of the newest migration in a folder."""
    return max(file.name[:4] for file in folder.glob("[0-9][0-9][0-9][0-9]_*.py"))


# Asked when the code is read: the folder may have another version's files later.
REVISION = newest_revision()


class SchemaChangedError(OutageError):
    """The schema is not the one that this process knows; another process, with the code of now, may know it."""


def require_revision(connection: Any) -> None:
    """Return where the schema is the one that this process was written for.

    Args:
        connection: of psycopg, on the warehouse.

    Raises:
        SchemaChangedError: it is another.
    """
    row = connection.execute("select version_num from metadata.alembic_version").fetchone()
    found = row[0] if row else "none"
    if found == REVISION:
        return
    is_older = found < REVISION or row is None
    raise SchemaChangedError(
        f"the warehouse has the schema {found}, and this process was written for {REVISION}.",
        "nothing was written.",
        "./scripts/start.sh, which migrates it"
        if is_older
        else "the same command again: it begins with the code of now",
    )
