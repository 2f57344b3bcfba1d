"""Silver's migrated tables are those of the contracts, for every entity: columns, checks, indexes, comments, grants."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from own_database import OwnDatabase

from contracts.entities import load_entities
from contracts.model import Entity
from contracts.render.migration import render as render_migration
from contracts.render.postgres import render, render_book
from warehouse.schema import prepare_silver

Query = Callable[..., list[tuple[Any, ...]]]

# What tables, indexes and columns are, said without the schema's name.
_TABLE = """
select 'column', attname, format_type(atttypid, atttypmod), attnotnull::text,
    coalesce(col_description(attrelid, attnum), '')
from pg_attribute where attrelid = %(table)s::regclass and attnum > 0 and not attisdropped
union all
select 'constraint', conname, pg_get_constraintdef(oid), '', '' from pg_constraint
where conrelid = %(table)s::regclass and contype <> 'n'
union all
select 'index', c.relname, replace(pg_get_indexdef(indexrelid), %(schema)s, ''), '',
    coalesce(obj_description(c.oid), '')
from pg_index join pg_class c on c.oid = indexrelid where indrelid = %(table)s::regclass
union all
select 'storage', '', coalesce(reloptions::text, ''), relkind::text, coalesce(obj_description(oid), '')
from pg_class where oid = %(table)s::regclass
union all
select 'grant', grantee::regrole::text, privilege_type, coalesce(column_name, ''), ''
from (
    select (aclexplode(relacl)).*, null as column_name from pg_class where oid = %(table)s::regclass
    union all
    select (aclexplode(attacl)).*, attname from pg_attribute where attrelid = %(table)s::regclass
) g
order by 1, 2, 3, 4
"""
OF_LIVE = ("grant", "live")  # by nature of the payments: the live view reads them, and no other entity


def described(connection: psycopg.Connection[Any], schema: str, table: str) -> list[tuple[Any, ...]]:
    known = {"table": f"{schema}.{table}", "schema": f"{schema}."}
    rows = connection.execute(_TABLE, known).fetchall()
    texts = [tuple(each.replace("expected.", "raw.") for each in row) for row in rows]
    return [row for row in texts if row[:2] != OF_LIVE]


@pytest.mark.services
@pytest.mark.parametrize("entity", load_entities(), ids=lambda entity: entity.name)
def test_the_migrated_tables_are_those_of_the_contract(database: OwnDatabase, entity: Entity) -> None:
    with database.connect("owner") as connection, connection.transaction(force_rollback=True):
        connection.execute("create schema expected")
        connection.execute(render(entity).replace("raw.", "expected.").encode())
        for name in (entity.silver, entity.duplicates, entity.rejected):
            table = name.removeprefix("raw.")
            wanted = described(connection, "expected", table)
            assert len(wanted) > 20
            assert described(connection, "raw", table) == wanted


@pytest.mark.services
def test_the_book_of_dead_letters_is_over_all_entities_tables(query: Query) -> None:
    definition = "select pg_get_viewdef('metadata.dead_letter_book'::regclass)"
    migrated = query(definition)
    query(render_book(load_entities()))
    assert query(definition) == migrated
    for entity in load_entities():
        assert entity.rejected in migrated[0][0]


def test_the_command_prints_a_migration_that_makes_the_contracts_tables() -> None:
    entities = load_entities()
    for entity in entities:
        printed: dict[str, Any] = {}
        exec(render_migration(entity, entities, ["0016", "0015"]), printed)
        assert (printed["revision"], printed["down_revision"]) == ("0017", "0016")
        assert printed["TABLES"] == f"\n{render(entity)}"
        assert printed["BOOK"] == f"\n{render_book(entities)}"


@pytest.mark.services
def test_a_column_whose_rule_is_gone_takes_rows_without_a_value(database: OwnDatabase) -> None:
    entity = load_entities()[0]
    code = "MERCHANT_NAME_MISSING"
    relaxed = replace(entity, rules=tuple(rule for rule in entity.rules if rule.code != code))
    with database.connect("owner") as connection, connection.transaction(force_rollback=True):
        done = prepare_silver(connection, relaxed, [code])
        assert done == [
            f"{entity.silver} takes rows without merchant_name",
            f"{entity.silver} no longer holds rows to the {code} of before",
        ]
        assert prepare_silver(connection, relaxed, [code]) == []
