# ruff: noqa: S608  (column names come from the contract; values are parameters)
"""The stage path: rows that may clash with others are judged in a temporary table, then go to their book.

Order is the sender's. Across loads the first loaded stands. Within a load, per transaction, feeds are ordered by their
first arrival of it, and events of a feed by seq; then arrival, topic, partition and offset count. An event without a
feed is one by itself; the books call those the feed (none).
`docs/decisions` 7 and 32 have the reasons; test_stage_reference.py has the same as a loop in Python.
"""

from typing import Any

import duckdb
import psycopg

from contracts.model import Contract
from contracts.rules import HAS_FEED
from warehouse.columns import COORDINATES, DUPLICATE, quoted, transaction_columns
from warehouse.conflict import conflict_sql, standing_sql
from warehouse.copy import copy_rows

# verdict: NEW, DUPLICATE, ALREADY_LOADED, or the reason code of a rejection; EVENT_RULES when the event broke some.
# of_redrive: it is what a redrive of the same letter was that came before.
_JUDGE = """
create temporary table verdicts on commit drop as
with repeated as (
    select transaction_id from stage group by transaction_id having count(*) > 1
),
contending as (
    select s.ctid as place, s.transaction_id, s.redrive_of, s.content_hash::text as content, s.known_at, s.topic_id,
        s."partition", s."offset", s.seq, case when {has_feed} then s.run end as feed,
        coalesce({owner}, {load_id}) as load_id
    from stage s
    where s.redrive_of is not null or s.transaction_id in (select transaction_id from repeated)
),
begun as (
    select *, case when feed is null then known_at else first_value(known_at) over of_feed end as begins_at,
        case when feed is null then topic_id else first_value(topic_id) over of_feed end as begins_topic,
        case when feed is null then "partition" else first_value("partition") over of_feed end as begins_partition,
        case when feed is null then "offset" else first_value("offset") over of_feed end as begins_offset
    from contending
    window of_feed as (
        partition by transaction_id, load_id, feed order by known_at, topic_id, "partition", "offset"
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
    select s.ctid as place, s.transaction_id, s.status, s.reasons, s.content_hash::text as content,
        s.identity_hash::text as identity, s.status <> 'PENDING' as is_final, coalesce(o.turn, 1) as turn, r.again,
        coalesce({owner}, {load_id}) as load_id, {is_loaded} as is_loaded
    from stage s left join ordered o on o.place = s.ctid left join repetitions r on r.place = s.ctid
),
candidates as (
    select * from probed where not is_loaded and again is null and reasons = '{{}}'
),
existing as (
    select t.transaction_id, max(t.identity_hash::text) as identity,
        max(t.content_hash::text) filter (where t.status = 'PENDING') as pending_content,
        max(t.content_hash::text) filter (where t.status <> 'PENDING') as final_content,
        max(t.status) filter (where t.status <> 'PENDING') as final_status
    from raw.transactions t
    where t.transaction_id in (select transaction_id from candidates)
    group by t.transaction_id
),
compared as (
    select c.*, x.pending_content, x.final_content, x.final_status,
        c.identity = coalesce(x.identity, first_value(c.identity) over (
            partition by c.transaction_id order by c.turn)) as fits
    from candidates c left join existing x using (transaction_id)
),
placed as (
    select *,
        case when pending_content is not null then 0
            else min(turn) filter (where fits and not is_final) over of_transaction end as pending_turn,
        case when final_content is not null then 0
            else min(turn) filter (where fits and is_final) over of_transaction end as final_turn
    from compared
    window of_transaction as (partition by transaction_id)
),
known as (
    select *,
        coalesce(final_status, max(status) filter (where turn = final_turn) over of_transaction) as taken_final,
        case when is_final
            then coalesce(final_content, max(content) filter (where turn = final_turn) over of_transaction)
            else coalesce(pending_content, max(content) filter (where turn = pending_turn) over of_transaction)
        end as taken_content,
        case when is_final then final_turn else pending_turn end as taken_turn
    from placed
    window of_transaction as (partition by transaction_id)
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
# what it became, a payment or a rejected row, it stays.
_BEFORE = """
    select bool_or(e.content_hash::text = c.content) as is_same, count(*) > 0 as is_there
    from (
        select content_hash from raw.transactions t where t.topic_id = c.topic_id and t.redrive_of = c.redrive_of
        union all
        select content_hash from raw.rejected_transactions t
        where t.topic_id = c.topic_id and t.redrive_of = c.redrive_of
    ) e
"""

# Looked up only when a load reads offsets that an earlier one has: without a bound the lookup would grow with silver.
_IS_LOADED = " or ".join(
    f"""exists (select from raw.{table} t
            where (t.topic_id, t."partition", t."offset") = (s.topic_id, s."partition", s."offset"))"""
    for table in ("transactions", "duplicates", "rejected_transactions")
)


def load_staged(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    contract: Contract,
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
        contract: for the columns.
        source: the workspace's table or view of the events to judge; all rows of a transaction are in it, or none.
        reread: some of the offsets were loaded before, so that rows may be there already.
        owner: expression for the load that a row of stage s belongs to; NULL: load_id.
    """
    columns = transaction_columns(contract)
    connection.execute("set local work_mem = '128MB'")
    connection.execute(f"""
        create temporary table stage on commit drop as
        select {quoted(columns)}, reasons from raw.rejected_transactions limit 0
    """)
    fill_stage(connection, workspace, source, columns)
    connection.execute("analyze stage")
    judge_stage(connection, load_id, reread=reread, owner=owner)
    return _add_to_books(connection, columns, contract)


def fill_stage(
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, source: str, columns: tuple[str, ...]
) -> None:
    """Copy judged events of the workspace into the temporary table stage, with the rules that they break."""
    reasons = "case when reasons = '' then [] else string_split(reasons, ',') end"
    copy_rows(
        connection, "stage", (*columns, "reasons"), workspace, f"select {quoted(columns)}, {reasons} from {source}"
    )


def judge_stage(
    connection: psycopg.Connection[Any], load_id: int, *, reread: bool = False, owner: str = "null"
) -> None:
    """Make the temporary table verdicts: what becomes of each row of stage, and by which load it counts."""
    is_loaded = f"({_IS_LOADED})" if reread else "false"
    connection.execute(
        _JUDGE.format(
            has_feed=HAS_FEED, before=_BEFORE, is_loaded=is_loaded, owner=owner, load_id=f"{int(load_id)}::bigint"
        )
    )


def _add_to_books(connection: psycopg.Connection[Any], columns: tuple[str, ...], contract: Contract) -> int:
    judged = "from stage s join verdicts v on v.place = s.ctid"
    new = connection.execute(
        f"""
        insert into raw.transactions ({quoted(columns)}, load_id)
        select {quoted(columns, "s.")}, v.load_id {judged} where v.verdict = 'NEW'
        """
    )
    duplicate = (*DUPLICATE, *COORDINATES)
    connection.execute(
        f"""
        insert into raw.duplicates ({quoted(duplicate)}, load_id)
        select {quoted(duplicate, "s.")}, v.load_id {judged} where v.verdict = 'DUPLICATE'
        """
    )
    connection.execute(
        f"""
        insert into raw.rejected_transactions ({quoted(columns)}, reasons, load_id)
        select {quoted(columns, "s.")}, s.reasons, v.load_id {judged} where v.verdict = 'EVENT_RULES'
        """
    )
    for of_redrive in (False, True):
        connection.execute(
            f"""
            insert into raw.rejected_transactions ({quoted(columns)}, reasons, load_id, conflict)
            select {quoted(columns, "s.")}, array[v.verdict], v.load_id, {conflict_sql(contract)}
            {judged} left join lateral ({standing_sql(columns, of_redrive=of_redrive)}) t on true
            where v.verdict not in ('NEW', 'DUPLICATE', 'ALREADY_LOADED', 'EVENT_RULES') and v.of_redrive = {of_redrive}
            """
        )
    return new.rowcount
