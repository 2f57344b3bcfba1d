# ruff: noqa: S608  (conditions are our own; values are parameters)
"""The smallest scope of a difference: days, offsets, and the keys themselves, without personal data."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any

import duckdb
import psycopg
from psycopg.rows import dict_row

from contracts.entities import load_entity
from contracts.model import Entity
from core.layout import Layout
from core.settings import Settings
from warehouse.proof.context import Context
from warehouse.proof.equation import DIFFERENT, Equation
from warehouse.proof.feeds import CONTRADICTING
from warehouse.proof.lake import read_lake
from warehouse.proof.mart_queries import daily_sql
from warehouse.proof.rows import make_differences, read_silver
from warehouse.read import open_workspace

MOST = 50
DAYS_NAMED = 5

Item = dict[str, Any]

_DAY = "(t.occurred_at at time zone 'UTC' + make_interval(mins => t.utc_offset_minutes))::date"


def _silver_and_fact(entity: Entity) -> str:
    key = entity.key
    return f"""
        with silver as (
            select distinct on (t.{key}) t.{key}, t.currency, t.status, t.amount, t.load_id, t.partition,
                t."offset", {_DAY} as day
            from {entity.silver} t
            where t.load_id in (select load_id from metadata.processed_loads)
            order by t.{key}, t.status = '{entity.statuses.first}'
        )
        select {key}, coalesce(f.occurred_on, s.day)::text as day, s.load_id, s.partition, s."offset",
            s.status as silver_status, s.amount::text as silver_amount, s.currency as silver_currency,
            f.status as fact_status, f.amount::text as fact_amount, f.currency as fact_currency
        from silver s full join {entity.fact} f using ({key})
        where (s.currency, s.status, s.amount) is distinct from (f.currency, f.status, f.amount)
        order by day, {key}
    """


def _fact_and_daily(entity: Entity) -> str:
    return f"""
        with fact as (
            select occurred_on, currency, status, count(*) as count, sum(amount) as amount
            from {entity.fact} group by 1, 2, 3
        ), daily as (
            select occurred_on, currency, status, sum(count)::bigint as count, sum(amount) as amount
            from {daily_sql(entity)} group by 1, 2, 3
        )
        select occurred_on::text as day, currency, status, coalesce(f.count, 0) as fact_count,
            coalesce(f.amount, 0)::text as fact_amount, coalesce(d.count, 0) as daily_count,
            coalesce(d.amount, 0)::text as daily_amount
        from fact f full join daily d using (occurred_on, currency, status)
        where (coalesce(f.count, 0), coalesce(f.amount, 0)) <> (coalesce(d.count, 0), coalesce(d.amount, 0))
        order by day, currency, status
    """


def name_days(connection: psycopg.Connection[Any], entity: Entity, equations: list[Equation]) -> list[Equation]:
    """Return an entity's equations; those of E3 and E4 that are different name the days on which they are."""
    named = []
    found: dict[str, list[Item]] = {}
    for equation in equations:
        if equation.verdict == DIFFERENT and equation.name in {"E3", "E4"}:
            if equation.name not in found:
                found[equation.name] = list(_of_marts(connection, entity, equation.name))
            days = sorted({item["day"] for item in found[equation.name] if _concerns(item, equation)})
            more = [f"and {len(days) - DAYS_NAMED} more"] if len(days) > DAYS_NAMED else []
            scope = {**equation.scope, "days": ", ".join([*days[:DAYS_NAMED], *more])} if days else equation.scope
            named.append(replace(equation, scope=scope))
        else:
            named.append(equation)
    return named


def explain_differences(
    connection: psycopg.Connection[Any], layout: Layout, settings: Settings, equations: list[Equation]
) -> list[dict[str, Any]]:
    """Return, for each difference, the offsets and keys behind it: up to fifty each."""
    explained = []
    for name, different in _by_entity(equation for equation in equations if equation.verdict == DIFFERENT):
        context = Context(connection, settings, layout, load_entity(name))
        with _lake(different, context) as workspace:
            for equation in different:
                items = _items(context, workspace, equation)
                kept = [item for item, _ in zip(items, range(MOST), strict=False)]
                explained.append({"name": equation.name, "scope": dict(equation.scope), "items": kept})
    return explained


def _by_entity(different: Iterable[Equation]) -> Iterator[tuple[str, list[Equation]]]:
    for name, equations in groupby(different, key=lambda equation: equation.entity):
        yield name, list(equations)


def _items(context: Context, workspace: duckdb.DuckDBPyConnection, equation: Equation) -> Iterable[Item]:
    if equation.name in {"E3", "E4"}:
        items = _of_marts(context.connection, context.entity, equation.name)
        return (item for item in items if _concerns(item, equation))
    if equation.name == "E2" and "load_id" in equation.scope:
        return _of_load(context, workspace, int(equation.scope["load_id"]))
    if equation.name == "E1" and "partition" in equation.scope:
        return _of_offsets(context.connection, workspace, equation)
    if equation.scope.items() >= CONTRADICTING.items():
        return _of_feed(context.connection, str(equation.scope["feed"]))
    return ()


@contextmanager
def _lake(different: list[Equation], context: Context) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_workspace(context.layout.state / "load", context.settings.loader_memory) as workspace:
        if any(equation.name in {"E1", "E2"} for equation in different):
            read_lake(workspace, context)
        yield workspace


def _of_marts(connection: psycopg.Connection[Any], entity: Entity, name: str) -> Iterable[Item]:
    query = _silver_and_fact(entity) if name == "E3" else _fact_and_daily(entity)
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode()).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return []  # the mart is gone: there is nothing smaller to name


def _concerns(item: Item, equation: Equation) -> bool:
    """Say whether a finding is within an equation's currency and status; on either side of it."""
    if equation.currency is None:
        return True
    if equation.name == "E4":
        return (item["currency"], item["status"]) == (equation.currency, equation.scope.get("status"))
    wanted = (equation.currency, equation.scope.get("status"))
    return wanted in {(item[f"{side}_currency"], item[f"{side}_status"]) for side in ("silver", "fact")}


def _of_load(context: Context, workspace: duckdb.DuckDBPyConnection, load_id: int) -> Iterable[Item]:
    ranges = context.connection.execute(
        "select load_id, topic_id, partition, start_offset, end_offset from metadata.load_offsets where load_id = %s",
        [load_id],
    ).fetchall()
    workspace.execute(
        'create or replace table judged (load_id bigint, topic_id varchar, "partition" integer, begin bigint, '
        "behind bigint)"
    )
    if ranges:
        workspace.executemany("insert into judged values (?, ?, ?, ?, ?)", [list(row) for row in ranges])
    read_silver(context.connection, workspace, context.entity, load_id)
    make_differences(workspace)
    names = ("partition", "offset", "lake_id", "lake_status", "lake_amount", "silver_id", "silver_status",
             "silver_amount", "book")  # fmt: skip
    listed = ", ".join(f'"{name}"' for name in names)
    for row in workspace.execute(f"select {listed} from differences order by 1, 2 limit {MOST}").fetchall():
        item = dict(zip(names, row, strict=True))
        yield {name: f"{value:f}" if name.endswith("amount") and value is not None else value
               for name, value in item.items()}  # fmt: skip


def _of_offsets(
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, equation: Equation
) -> Iterable[Item]:
    begin, behind = equation.scope["offsets"]
    partition, topic_id = equation.scope["partition"], equation.scope.get("topic_id")
    shown = connection.execute(
        "select lower(each), upper(each) from metadata.offsets_without_event, unnest(markers + aborted) as each "
        "where topic_id = %s and partition = %s and lower(each) < %s and upper(each) > %s",
        [topic_id, partition, behind, begin],
    ).fetchall()
    workspace.execute("create or replace table shown (begin bigint, behind bigint)")
    if shown:
        workspace.executemany("insert into shown values (?, ?)", shown)
    rows = workspace.execute(
        f"""
        select wanted."offset", count(l."offset") as times from range(?, ?) as wanted ("offset")
        left join lake l on l."offset" = wanted."offset" and l."partition" = ? and l.topic_id = ?
        where not exists (from shown s where wanted."offset" >= s.begin and wanted."offset" < s.behind)
        group by 1 having times <> 1 order by 1 limit {MOST}
        """,
        [begin, behind, partition, topic_id],
    ).fetchall()
    for offset, times in rows:
        yield {"partition": partition, "offset": offset, "times_in_the_lake": times}


def _of_feed(connection: psycopg.Connection[Any], run: str) -> Iterable[Item]:
    """Yield the control totals that contradict one of the same number, or close below what was told before."""
    for seq, closed, sent_at, later, broken, is_known, first, first_broken in connection.execute(
        """
        select c.seq, c.closed, c.sent_at, c.amounts, c.broken, t.seq is not null, t.amounts, t.broken
        from metadata.contradicting_totals c left join metadata.control_totals t using (run, seq)
        where run = %s order by c.load_id, c.sent_at, c.seq
        """,
        [run],
    ).fetchall():
        said = {"events": f"1-{seq}", "said_at": sent_at.isoformat(), "closed": closed, "says": _content(later, broken)}
        yield said | {"stands": _content(first, first_broken) if is_known else "a total of more events"}


def _content(amounts: dict[str, dict[str, Any]] | None, broken: dict[str, int]) -> str:
    money = ["no amounts"] if amounts is None else [
        f"{currency} {held['amount']} in {held['count']}" for currency, held in sorted(amounts.items())
    ]  # fmt: skip
    return "; ".join([*money, *(f"{kind} {count}" for kind, count in sorted(broken.items()))]) or "nothing"
