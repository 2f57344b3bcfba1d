"""The migration that gives a new entity its tables in silver: printed once, and frozen from then on."""

from collections.abc import Iterable

from contracts.model import Entity
from contracts.render.postgres import render as render_tables
from contracts.render.postgres import render_book

_MODULE = '''# ruff: noqa: E501  (rendered: ./scripts/tieout contract migration {name})
"""Silver's tables of {name}, as contract {version} has them, and the book of dead letters with them.

Revision ID: {revision}
Revises: {before}
"""

from alembic import op

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None

BLANKS = " || ".join(
    f"chr({{point}})"
    for point in ({points})
)  # fmt: skip

TABLES = f"""
{tables}"""

BOOK = """
{book}"""


def upgrade() -> None:
    for statements in (TABLES, BOOK):
        op.get_bind().exec_driver_sql(statements)
'''


def render(entity: Entity, entities: tuple[Entity, ...], revisions: Iterable[str]) -> str:
    """Return the migration of an entity, a Python module, to be kept beside those there are.

    Args:
        entity: whose tables are made.
        entities: all of them, with it: the book of dead letters is a view over their tables.
        revisions: those that there are.
    """
    before = max(revisions, default="")
    blanks = entity.platform.blanks
    points = ", ".join(part.removeprefix("chr(").removesuffix(")") for part in blanks.split(" || "))
    return _MODULE.format(
        name=entity.name,
        version=entity.version,
        revision=f"{int(before or 0) + 1:04}",
        before=before,
        down=f'"{before}"' if before else None,
        points=points,
        tables=render_tables(entity).replace("{", "{{").replace("}", "}}").replace(blanks, "{BLANKS}"),
        book=render_book(entities),
    )
