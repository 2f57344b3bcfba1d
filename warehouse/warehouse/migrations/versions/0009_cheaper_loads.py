"""One index where two guarded a transaction's statuses, and rules that trim only what may be blank: cheaper loads.

A transaction has at most one PENDING row and at most one final one, which the new index alone says. The offset is the
primary key: it is what every row has once. The rules accept and refuse what they did.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BLANKS = " || ".join(
    f"chr({point})"
    for point in (
        *range(9, 14), *range(28, 33), 133, 160, 173, 5760, 6158, *range(8192, 8206), 8232, 8233, 8239, 8287, 8288,
        12288, 65279,
    )
)  # fmt: skip


def _is_not_blank(text: str) -> str:
    return f"case when ascii({text}) between 33 and 126 then true else length(trim({text}, {BLANKS})) > 0 end"


RULES = {
    "transaction_id_blank": _is_not_blank("transaction_id"),
    "customer_id_missing": _is_not_blank("customer_id"),
    "merchant_name_missing": _is_not_blank("merchant_name"),
    "merchant_category_missing": _is_not_blank("merchant_category"),
    "failure_reason_missing": "status <> 'FAILED' or " + _is_not_blank("coalesce(failure_reason, '')"),
}

KEYS = """
create unique index transactions_statuses on raw.transactions (transaction_id, (status <> 'PENDING'));
create unique index transactions_offsets on raw.transactions (topic_id, partition, "offset");
comment on index raw.transactions_statuses is 'One PENDING row and one final row a transaction at most.';
alter table raw.transactions drop constraint transactions_pkey;
drop index raw.transactions_one_final_status;
alter table raw.transactions
    drop constraint transactions_coordinates,
    add constraint transactions_coordinates primary key using index transactions_offsets;
"""


def upgrade() -> None:
    changes = ", ".join(f"drop constraint {name}, add constraint {name} check ({sql})" for name, sql in RULES.items())
    database = op.get_bind()
    database.exec_driver_sql(KEYS)
    database.exec_driver_sql(f"alter table raw.transactions {changes}")
