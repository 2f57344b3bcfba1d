# ruff: noqa: S608  (column names come from the contract; values are parameters)
"""The stage path: rows that may clash with others are judged in a temporary table, then go to their book.

Order is the sender's. Across loads the first loaded stands. Within a load, per key, feeds are ordered by their first
arrival of it, and events of a feed by seq; then arrival, topic, partition and offset count. An event without a
feed is one by itself; the books call those the feed (none).
`docs/decisions` 7 and 32 have the reasons; test_stage_reference.py has the same as a loop in Python.
"""

from typing import Any

import duckdb
import psycopg

from contracts.model import Entity
from contracts.rules import HAS_FEED
from warehouse.columns import duplicate_columns, event_columns, quoted
from warehouse.conflict import conflict_sql, standing_sql
from warehouse.copy import copy_rows

# verdict: NEW, DUPLICATE, ALREADY_LOADED, or the reason code of a rejection; EVENT_RULES when the event broke some.
# of_redrive: it is what a redrive of the same letter was that came before.
_JUDGE = """
create temporary table verdicts on commit drop as
with repeated as (
    select {key} from stage group by {key} having count(*) > 1
),
contending as (
    select s.ctid as place, s.{key}, s.redrive_of, s.content_hash::text as content, s.known_at, s.topic_id,
        s."partition", s."offset", s.seq, case when {has_feed} then s.run end as feed,
        coalesce({owner}, {load_id}) as load_id
    from stage s
    where s.redrive_of is not null or s.{key} in (select {key} from repeated)
),
begun as (
    select *, case when feed is null then known_at else first_value(known_at) over of_feed end as begins_at,
        case when feed is null then topic_id else first_value(topic_id) over of_feed end as begins_topic,
        case when feed is null then "partition" else first_value("partition") over of_feed end as begins_partition,
        case when feed is null then "offset" else first_value("offset") over of_feed end as begins_offset
    from contending
    window of_feed as (
        partition by {key}, load_id, feed order by known_at, topic_id, "partition", "offset"
    )
),
ordered as (
    select place, topic_id, redrive_of, content, row_number() over (
        order by load_id, begins_at, begins_topic, begins_partition, begins_offset,
            case when feed is not null then seq end, known_at, topic_id, "partition", "offset"
    ) as turn
    from begun
),
copies as (
    select *, row_number() over (partition by topic_id, redrive_of order by turn) as copy,
        row_number() over (partition by topic_id, redrive_of, content order by turn) as same_copy
    from ordered where redrive_of is not null
),
repetitions as (
    select c.place, case when c.same_copy > 1 or b.is_same then 'DUPLICATE' else 'CONFLICTING_DUPLICATE' end as again
    from copies c cross join lateral ({before}) b where c.copy > 1 or b.is_there
),
probed as (
    select s.ctid as place, s.{key}, s.status, s.reasons, s.content_hash::text as content,
        s.identity_hash::text as identity, s.status <> '{first}' as is_final, coalesce(o.turn, 1) as turn, r.again,
        coalesce({owner}, {load_id}) as load_id, {is_loaded} as is_loaded
    from stage s left join ordered o on o.place = s.ctid left join repetitions r on r.place = s.ctid
),
candidates as (
    select * from probed where not is_loaded and again is null and reasons = '{{}}'
),
existing as (
    select t.{key}, max(t.identity_hash::text) as identity,
        max(t.content_hash::text) filter (where t.status = '{first}') as pending_content,
        max(t.content_hash::text) filter (where t.status <> '{first}') as final_content,
        max(t.status) filter (where t.status <> '{first}') as final_status
    from {silver} t
    where t.{key} in (select {key} from candidates)
    group by t.{key}
),
compared as (
    select c.*, x.pending_content, x.final_content, x.final_status,
        c.identity = coalesce(x.identity, first_value(c.identity) over (
            partition by c.{key} order by c.turn)) as fits
    from candidates c left join existing x using ({key})
),
placed as (
    select *,
        case when pending_content is not null then 0
            else min(turn) filter (where fits and not is_final) over of_key end as pending_turn,
        case when final_content is not null then 0
            else min(turn) filter (where fits and is_final) over of_key end as final_turn
    from compared
    window of_key as (partition by {key})
),
known as (
    select *,
        coalesce(final_status, max(status) filter (where turn = final_turn) over of_key) as taken_final,
        case when is_final
            then coalesce(final_content, max(content) filter (where turn = final_turn) over of_key)
            else coalesce(pending_content, max(content) filter (where turn = pending_turn) over of_key)
        end as taken_content,
        case when is_final then final_turn else pending_turn end as taken_turn
    from placed
    window of_key as (partition by {key})
)
select place, load_id, false as of_redrive, case
        when not fits then case
            when taken_turn < turn and (not is_final or status = taken_final) then 'CONFLICTING_DUPLICATE'
            else 'SETTLEMENT_MISMATCH' end
        when is_final and status <> taken_final then 'CONTRADICTING_STATUS'
        when turn = taken_turn then 'NEW'
        when content = taken_content then 'DUPLICATE'
        else 'CONFLICTING_DUPLICATE'
    end as verdict
from known
union all
select place, load_id, again is not null,
    case when is_loaded then 'ALREADY_LOADED' else coalesce(again, 'EVENT_RULES') end
from probed where is_loaded or again is not null or reasons <> '{{}}'
"""

# A redrive that was killed between sending and writing it down sends the same bytes once more. The first one counts:
# what it became, a valid event or a rejected one, it stays.
_BEFORE = """
    select bool_or(e.content_hash::text = c.content) as is_same, count(*) > 0 as is_there
    from (
        select content_hash from {silver} t where t.topic_id = c.topic_id and t.redrive_of = c.redrive_of
        union all
        select content_hash from {rejected} t
        where t.topic_id = c.topic_id and t.redrive_of = c.redrive_of
    ) e
"""

_IN_TABLE = """exists (select from {table} t
            where (t.topic_id, t."partition", t."offset") = (s.topic_id, s."partition", s."offset"))"""


def load_staged(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    entity: Entity,
    *,
    source: str,
    reread: bool,
    owner: str = "null",
) -> int:
    """Judge events of the workspace and add each to its book; return how many are new in silver.

    Call it inside the load's transaction.

    Leaves the temporary tables stage and verdicts until the transaction ends.

    Args:
        connection: the loader's.
        workspace: DuckDB.
        load_id: the load.
        entity: for the columns.
        source: the workspace's table or view of the events to judge; all rows of a key are in it, or none.
        reread: some of the offsets were loaded before, so that rows may be there already.
        owner: expression for the load that a row of stage s belongs to; NULL: load_id.
    """
    columns = event_columns(entity)
    connection.execute("set local work_mem = '128MB'")
    connection.execute(f"""
        create temporary table stage on commit drop as
        select {quoted(columns)}, reasons from {entity.rejected} limit 0
    """)
    fill_stage(connection, workspace, source, columns)
    connection.execute("analyze stage")
    judge_stage(connection, load_id, entity, reread=reread, owner=owner)
    return _add_to_books(connection, columns, entity)


def fill_stage(
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, source: str, columns: tuple[str, ...]
) -> None:
    """Copy judged events of the workspace into the temporary table stage, with the rules that they break."""
    reasons = "case when reasons = '' then [] else string_split(reasons, ',') end"
    copy_rows(
        connection, "stage", (*columns, "reasons"), workspace, f"select {quoted(columns)}, {reasons} from {source}"
    )


def judge_stage(
    connection: psycopg.Connection[Any], load_id: int, entity: Entity, *, reread: bool = False, owner: str = "null"
) -> None:
    """Make the temporary table verdicts: what becomes of each row of stage, and by which load it counts."""
    names = {"key": entity.key, "first": entity.statuses.first, "silver": entity.silver}
    connection.execute(
        _JUDGE.format(
            **names,
            has_feed=HAS_FEED,
            before=_BEFORE.format(silver=entity.silver, rejected=entity.rejected),
            is_loaded=_is_loaded(entity) if reread else "false",
            owner=owner,
            load_id=f"{int(load_id)}::bigint",
        ).encode()
    )


def _is_loaded(entity: Entity) -> str:
    """Return the condition of offsets that an earlier load has.

    Looked up only when a load reads such offsets: without a bound the lookup would grow with silver.
    """
    tables = (entity.silver, entity.duplicates, entity.rejected)
    return f"({' or '.join(_IN_TABLE.format(table=table) for table in tables)})"


def _add_to_books(connection: psycopg.Connection[Any], columns: tuple[str, ...], entity: Entity) -> int:
    judged = "from stage s join verdicts v on v.place = s.ctid"
    new = connection.execute(
        f"""
        insert into {entity.silver} ({quoted(columns)}, load_id)
        select {quoted(columns, "s.")}, v.load_id {judged} where v.verdict = 'NEW'
        """
    )
    duplicate = duplicate_columns(entity)
    connection.execute(
        f"""
        insert into {entity.duplicates} ({quoted(duplicate)}, load_id)
        select {quoted(duplicate, "s.")}, v.load_id {judged} where v.verdict = 'DUPLICATE'
        """
    )
    connection.execute(
        f"""
        insert into {entity.rejected} ({quoted(columns)}, reasons, load_id)
        select {quoted(columns, "s.")}, s.reasons, v.load_id {judged} where v.verdict = 'EVENT_RULES'
        """
    )
    for of_redrive in (False, True):
        connection.execute(
            f"""
            insert into {entity.rejected} ({quoted(columns)}, reasons, load_id, conflict)
            select {quoted(columns, "s.")}, array[v.verdict], v.load_id, {conflict_sql(entity)}
            {judged} left join lateral ({standing_sql(entity, columns, of_redrive=of_redrive)}) t on true
            where v.verdict not in ('NEW', 'DUPLICATE', 'ALREADY_LOADED', 'EVENT_RULES') and v.of_redrive = {of_redrive}
            """
        )
    return new.rowcount
