"""Brings an entity's tables in silver to its contract: columns that are missing, conditions that hold no more.

Migrations make the tables; a contract may gain fields and rules while events flow. Every step is safe to repeat.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from contracts.entities import load_entities
from contracts.model import Entity
from contracts.render.postgres import checks, is_needed

Connection = psycopg.Connection[Any]


def prepare_silver(connection: Connection, entity: Entity, loosened: Iterable[str] = ()) -> list[str]:
    """Add what a contract's optional fields need, and drop what rules that change asked for; return what was done.

    Loads by the contract of before go on: they leave the new columns empty.

    Args:
        connection: of the owner.
        entity: with the contract that is to be in force.
        loosened: codes of rules whose condition is another from now on, or that are gone.
    """
    done = []
    may_be_null = {field.stored_as for field in entity.fields if not is_needed(field, entity)}
    with connection.transaction():
        connection.execute("set local lock_timeout = '60s'")
        for table in (entity.silver, entity.rejected):
            there = _columns(connection, table)
            for field in entity.optional_fields:
                if field.stored_as not in there:
                    statement = "alter table {} add column {} " + field.postgres_type
                    connection.execute(_named(statement, table, field.stored_as))
                    done.append(f"{table} has the column {field.stored_as}")
        for name, is_not_null in _columns(connection, entity.silver).items():
            if is_not_null and name in may_be_null:
                connection.execute(_named("alter table {} alter column {} drop not null", entity.silver, name))
                done.append(f"{entity.silver} takes rows without {name}")
        for code in loosened:
            if code.lower() in _constraints(connection, entity.silver):
                connection.execute(_named("alter table {} drop constraint {}", entity.silver, code.lower()))
                done.append(f"{entity.silver} no longer holds rows to the {code} of before")
    return done


def hold_to_rules(connection: Connection, entity: Entity) -> list[str]:
    """Let silver hold new rows to every rule of the contract in force; rows of before keep what they were judged by.

    A condition of before that is another now, or whose rule is gone, goes: it would refuse what the judge lets pass.
    """
    done = []
    with connection.transaction():
        connection.execute("set local lock_timeout = '60s'")
        wanted = {rule.code.lower(): rule.sql.replace("arrived_at", "known_at") for rule in checks(entity) if rule.sql}
        there, expected = _constraints(connection, entity.silver), _as_written(connection, entity.silver, wanted)
        for name in sorted(there):
            if there[name] != expected.get(name):
                connection.execute(_named("alter table {} drop constraint {}", entity.silver, name))
                done.append(f"{entity.silver} no longer holds rows to the {name.upper()} of before")
        for name, condition in wanted.items():
            if there.get(name) != expected[name]:
                statement = _named("alter table {} add constraint {} check", entity.silver, name)
                connection.execute(statement + _checked(condition) + sql.SQL(" not valid"))
                done.append(f"{entity.silver} holds new rows to {name.upper()}")
    return done


def _as_written(connection: Connection, table: str, conditions: Mapping[str, str]) -> dict[str, str]:
    """Return conditions as the database itself writes them, to be compared with those of a table."""
    connection.execute(sql.SQL("create temporary table probe (like {}) on commit drop").format(_identifier(table)))
    for name, condition in conditions.items():
        connection.execute(_named("alter table {} add constraint {} check", "probe", name) + _checked(condition))
    found = _constraints(connection, "pg_temp.probe")
    connection.execute("drop table probe")
    return found


def _checked(condition: str) -> sql.SQL:
    return sql.SQL(f" ({condition})")


def bring_silver_to_contracts(dsn: str) -> None:
    """Give silver what the contracts in force ask for and no migration has made: a contract may have evolved before.

    Args:
        dsn: of the owner, on the warehouse.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        for entity in load_entities():
            prepare_silver(connection, entity)
            hold_to_rules(connection, entity)


def _identifier(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))


def _named(statement: str, table: str, name: str) -> sql.Composed:
    return sql.SQL(statement).format(_identifier(table), sql.Identifier(name))


def _columns(connection: Connection, table: str) -> dict[str, bool]:
    """Return a table's columns by name: whether each must have a value."""
    rows = connection.execute(
        "select attname, attnotnull from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        [table],
    ).fetchall()
    return dict(rows)


def _constraints(connection: Connection, table: str) -> dict[str, str]:
    """Return the conditions of a table by name, whether its rows of before were held to them or not."""
    rows = connection.execute(
        "select conname, replace(pg_get_constraintdef(oid), ' NOT VALID', '') from pg_constraint "
        "where conrelid = %s::regclass and contype = 'c'",
        [table],
    ).fetchall()
    return dict(rows)
