# ruff: noqa: S608  (column names come from the contract; values are parameters)
"""The stage path: rows that may clash with others are judged in a temporary table, then go to their book.

Order is that of the lake's commits, within one arrival, partition and offset; so the result does not depend on how many
commits a load takes. `docs/decisions` 7 has the meaning; test_stage_reference.py has the same as a loop in Python.
"""

from typing import Any

import duckdb
import psycopg

from contracts.model import Contract
from warehouse.columns import COORDINATES, DUPLICATE, quoted, transaction_columns
from warehouse.copy import copy_rows

_EXTRA = ("version", "reasons")

# verdict: NEW, DUPLICATE, ALREADY_LOADED, or the reason code of a rejection; EVENT_RULES when the event broke some.
_JUDGE = """
create temporary table verdicts on commit drop as
with probed as (
    select s.ctid as place, s.transaction_id, s.status, s.reasons, {again} as again,
        s.content_hash::text as content, s.identity_hash::text as identity, s.status <> 'PENDING' as is_final,
        row_number() over (
            partition by s.transaction_id order by s.version, s.known_at, s."partition", s."offset"
        ) as turn,
        {is_loaded} as is_loaded
    from stage s
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
select place, case
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
select place, case when is_loaded then 'ALREADY_LOADED' else coalesce(again, 'EVENT_RULES') end
from probed where is_loaded or again is not null or reasons <> '{{}}'
"""

# A redrive that was killed between sending and writing it down sends the same bytes once more. The first one counts:
# what it became, a payment or a rejected row, it stays.
_AGAIN = """case when s.redrive_of is not null then (
        select case when bool_or(b.content_hash = s.content_hash) then 'DUPLICATE' else 'CONFLICTING_DUPLICATE' end
        from (
            select content_hash from raw.transactions t
            where t.topic_id = s.topic_id and t.redrive_of = s.redrive_of
            union all
            select content_hash from raw.rejected_transactions t
            where t.topic_id = s.topic_id and t.redrive_of = s.redrive_of
            union all
            select content_hash from stage t
            where t.topic_id = s.topic_id and t.redrive_of = s.redrive_of
                and (t.version, t.known_at, t."partition", t."offset")
                    < (s.version, s.known_at, s."partition", s."offset")
        ) b having count(*) > 0
    ) end"""

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
    owner: str = "%s",
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
        owner: expression for the load that a row of stage s belongs to; it has one place for load_id.
    """
    columns = transaction_columns(contract)
    connection.execute("set local work_mem = '128MB'")
    connection.execute(f"""
        create temporary table stage on commit drop as
        select {quoted(columns)}, 0::bigint as version, reasons from raw.rejected_transactions limit 0
    """)
    reasons = "case when reasons = '' then [] else string_split(reasons, ',') end"
    query = f"select {quoted(columns)}, version, {reasons} from {source}"
    copy_rows(connection, "stage", (*columns, *_EXTRA), workspace, query)
    connection.execute("analyze stage")
    connection.execute(_JUDGE.format(again=_AGAIN, is_loaded=f"({_IS_LOADED})" if reread else "false"))
    return _add_to_books(connection, columns, load_id, owner)


def _add_to_books(connection: psycopg.Connection[Any], columns: tuple[str, ...], load_id: int, owner: str) -> int:
    judged = "from stage s join verdicts v on v.place = s.ctid"
    new = connection.execute(
        f"""
        insert into raw.transactions ({quoted(columns)}, load_id)
        select {quoted(columns, "s.")}, {owner} {judged} where v.verdict = 'NEW'
        """,
        [load_id],
    )
    duplicate = (*DUPLICATE, *COORDINATES)
    connection.execute(
        f"""
        insert into raw.duplicates ({quoted(duplicate)}, load_id)
        select {quoted(duplicate, "s.")}, {owner} {judged} where v.verdict = 'DUPLICATE'
        """,
        [load_id],
    )
    connection.execute(
        f"""
        insert into raw.rejected_transactions ({quoted(columns)}, reasons, load_id)
        select {quoted(columns, "s.")},
            case when v.verdict = 'EVENT_RULES' then s.reasons else array[v.verdict] end, {owner}
        {judged} where v.verdict not in ('NEW', 'DUPLICATE', 'ALREADY_LOADED')
        """,
        [load_id],
    )
    return new.rowcount
