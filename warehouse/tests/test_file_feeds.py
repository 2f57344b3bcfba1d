"""E0 of a file: its rows are what has arrived, what was refused and is kept, and what the mapping leaves out."""

from decimal import Decimal
from typing import Any

import pytest
from lake_writer import LakeWriter
from test_control_feeds import AMOUNT, Gateway, Load, Prove, Query, e0, gateway, sent

from contracts.control_total import FileTotal, Money, Rows
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from data_generator.ingest.errors import GoneRowsError, NotLoadedError
from data_generator.ingest.versions import refuse_gone_rows

BOTH = pytest.mark.parametrize("full", [False, True])
FILE = FileTotal(
    "may.csv",
    "ab" * 32,
    Rows(6, {"INR": Money(4, 4 * AMOUNT)}),
    Rows(2, {"INR": Money(1, AMOUNT)}),
    Rows(1),
)
LINE = {"feed": "r", "events": [1, 3], "closed": True, "file": "may.csv", "rows": 6, "refused": 2, "left_out": 1}

__all__ = ["e0", "gateway"]


def keep(query: Query, *amounts: Decimal | None) -> None:
    query(
        "insert into metadata.files (run, entity, name, sha256, size, mapping, mapping_file, mapping_sha256, contract, "
        "total, asked_by, known_offsets, columns) "
        "values ('r', 'transactions', 'may.csv', 'ab', 1, 'm', 'm', 'm', '1.0.0', '{}', 'me', '{}', '{}')"
    )
    for line, amount in enumerate(amounts, 2):
        query(
            "insert into raw.refused_rows (run, line, content, reasons, problems, currency, amount) "
            "values ('r', %s, 'x', '{ROW_WIDTH}', '{x}', %s, %s)",
            *(line, None if amount is None else "INR", amount),
        )


@pytest.mark.services
@BOTH
def test_a_file_ties_out_with_its_refused_rows(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, query: Query, full: bool
) -> None:
    lake.commit(sent(1, 2, 3))
    keep(query, AMOUNT, None)
    gateway.say(3, 2, closed=True, file=FILE)
    load()
    assert e0(full=full) == [
        (LINE, "INR", 4, 4, "OK"),
        (LINE | {"of": "events without an amount"}, None, 2, 2, "OK"),
    ]


@pytest.mark.services
@BOTH
def test_a_refused_row_that_nobody_kept_is_a_difference(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, query: Query, full: bool
) -> None:
    lake.commit(sent(1, 2, 3))
    keep(query, None)
    gateway.say(3, 2, closed=True, file=FILE)
    load()
    verdicts = {(currency, left, right): verdict for _, currency, left, right, verdict in e0(full=full)}
    assert verdicts == {("INR", 4, 3): "DIFFERENT", (None, 2, 2): "OK"}


@pytest.mark.services
def test_a_file_on_its_way_is_open_and_its_refused_rows_are_no_difference(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, query: Query
) -> None:
    lake.commit(sent(1, 2))
    keep(query, AMOUNT, None)
    gateway.say(2, 1, file=FILE)
    load()
    found = e0()
    assert [line[1:] for line in found] == [("INR", 2, 2, "OK"), (None, 0, 0, "OPEN")]
    assert "file" not in found[0][0]


@pytest.mark.services
def test_another_content_of_the_file_contradicts_the_first(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, query: Query
) -> None:
    lake.commit(sent(1, 2, 3))
    keep(query, AMOUNT, None)
    gateway.say(3, 2, file=FILE)
    load()
    gateway.say(3, 2, closed=True, file=FileTotal("may.csv", "cd" * 32, FILE.rows, FILE.refused, FILE.left_out))
    load()
    assert any(scope.get("control_totals") for scope, *_ in e0())


@pytest.mark.services
def test_a_new_version_that_lacks_rows_is_refused_until_somebody_names_how_many(
    load: Load, lake: LakeWriter, gateway: Gateway, query: Query, database: Any
) -> None:
    keep(query, AMOUNT, None)
    entity = load_entity(PAYMENTS)
    with database.connect("ingest") as connection:
        connection.execute("set role ingest")
        with pytest.raises(NotLoadedError):
            refuse_gone_rows(connection, entity, "may.csv", ["r-1"], 0)
        lake.commit(sent(1, 2, 3))
        gateway.say(3, 2, closed=True, file=FILE)
        load()
        refuse_gone_rows(connection, entity, "may.csv", ["r-3", "r-2", "r-1", "r-4"], 0)
        with pytest.raises(
            GoneRowsError, match=f"2 rows of its earlier versions .* 2 with {2 * AMOUNT}00 INR"
        ) as error:
            refuse_gone_rows(connection, entity, "may.csv", ["r-1", "r-4"], 0)
        assert error.value.count == 2
        refuse_gone_rows(connection, entity, "may.csv", ["r-1", "r-4"], 2)


@pytest.mark.services
def test_who_may_see_what_of_a_refused_row(query: Query, database: Any) -> None:
    keep(query, AMOUNT)
    for role, content, money in (("ingest", True, True), ("dbt", False, True), ("reader", False, True)):
        with database.connect(role) as connection:
            for table, is_allowed in (("raw.refused_rows", content), ("metadata.refused_rows", money)):
                if role == "ingest" and table.startswith("metadata"):
                    continue
                row = query("select has_table_privilege(%s, %s, 'select')", role, table)
                assert row == [(is_allowed,)], (role, table)
            assert connection.execute("select current_user").fetchone() == (role,)
    with database.connect("reader") as connection:
        assert connection.execute("select run, line, amount from metadata.refused_rows").fetchall() == [
            ("r", 2, AMOUNT)
        ]
