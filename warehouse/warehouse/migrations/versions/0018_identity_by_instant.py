# ruff: noqa: S608  (names are this file's own)
"""The same instant in another zone is the same: identity and content of every stored event are hashed anew.

What never changes for a key is hashed with the instant of its time, no longer with the zone that it was written in: a
settlement that writes its payment's time with another offset settles it. Loads and live view must not run meanwhile.

Rows of silver are hashed from their columns. A duplicate has the content of the row that it repeats, so it gets that
one's new hash. A payment that only the live view has yet is counted anew with gold's totals.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Frozen: what is hashed of an entity, the fields that never change and those that a status may change.
HASHED = {
    "transactions": (
        (
            *("transaction_id", "customer_id", "customer_name", "customer_email", "merchant_name", "merchant_category"),
            *("amount", "payment_method", "occurred_at", "city", "state", "country", "currency", "device_type"),
            *("ip_address", "is_fraud"),
        ),
        ("status", "failure_reason"),
    ),
    "refunds": (
        (
            *("refund_id", "transaction_id", "amount", "currency", "reason", "occurred_at", "customer_id"),
            "merchant_name",
        ),
        ("status",),
    ),
}
DUPLICATES = {"transactions": "duplicates", "refunds": "duplicate_refunds"}

# The advisory locks of loads and of the live view; the numbers are those of core/core/locks.py.
ALONE = """
do $$
begin
    if not pg_try_advisory_xact_lock(x'6c6f61646572'::bigint) then
        raise exception 'a load is running, and every stored hash is about to change: stop the services, then again';
    end if;
    if not pg_try_advisory_xact_lock(x'6c697665'::bigint) then
        raise exception 'the live view runs, and every stored hash is about to change: stop the services, then again';
    end if;
end $$
"""


def _part(column: str) -> str:
    if column == "occurred_at":
        seconds = "cast(extract(epoch from date_trunc('second', occurred_at)) as bigint)"
        text = f"concat({seconds}, '.', cast(extract(microseconds from occurred_at) as bigint) % 1000000)"
        return f"concat(length({text}), ':', {text})"
    text = "cast(cast(amount as decimal(20,4)) as varchar)" if column == "amount" else f"cast({column} as varchar)"
    return f"coalesce(cast(length({text}) as varchar) || ':' || {text}, '-')"


def _hashes(entity: str) -> tuple[str, str]:
    identity, differing = (" || ".join(map(_part, columns)) for columns in HASHED[entity])
    return f"md5({identity})::uuid", f"md5({identity} || {differing})::uuid"


def _statements(entity: str) -> list[str]:
    identity, content = _hashes(entity)
    made = [f"lock table raw.{entity}, raw.rejected_{entity}, raw.{DUPLICATES[entity]} in access exclusive mode"]
    made.append("create temporary table contents (was uuid, is_now uuid) on commit drop")
    for table in (entity, f"rejected_{entity}"):
        made.append(
            f"insert into contents select content_hash, {content} from raw.{table} where content_hash is not null"
        )
        hashed = f"identity_hash = {identity}, content_hash = {content}"
        made.append(f"update raw.{table} set {hashed} where content_hash is not null")
    made.append("create index contents_was on contents (was)")
    made.append("analyze contents")
    made.append(
        f"update raw.{DUPLICATES[entity]} d set content_hash = c.is_now "
        "from (select was, min(is_now::text)::uuid as is_now from contents group by was) c where c.was = d.content_hash"
    )
    made.append("drop table contents")
    return made


LIVE = (
    "update live.payments p set identity_hash = t.identity_hash "
    "from raw.transactions t where t.transaction_id = p.transaction_id",
    # One that silver does not have yet cannot be hashed from here.
    "update live.opening set restart_asked_at = clock_timestamp() where exists (select from live.payments p "
    "where not exists (select from raw.transactions t where t.transaction_id = p.transaction_id))",
)


def upgrade() -> None:
    bind = op.get_bind()
    is_empty = bind.exec_driver_sql(
        "select not exists (select from metadata.load_audit) and not exists (select from live.payments)"
    ).scalar()
    if is_empty:
        return
    bind.exec_driver_sql(ALONE)
    bind.exec_driver_sql("set local timezone = 'UTC'")
    for entity in HASHED:
        for statement in _statements(entity):
            bind.exec_driver_sql(statement.replace("%", "%%"))
    for statement in LIVE:
        bind.exec_driver_sql(statement)
