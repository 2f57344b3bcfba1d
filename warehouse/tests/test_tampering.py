"""Each equation catches its own fault: somebody changes one figure by hand, and the proof names it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase
from test_control_feeds import Gateway
from test_proof import DAILY, FACT

from core.layout import Layout
from warehouse.proof import run_proof, show_proof

pytestmark = pytest.mark.services
Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
BUILD = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def whole(
    load: Load, lake: LakeWriter, query: Query, monkeypatch: pytest.MonkeyPatch, database: OwnDatabase, layout: Layout
) -> Iterator[Callable[..., dict[str, Any]]]:
    """A small platform that ties out, its proof brought forward; returns how to prove it again."""
    gateway = Gateway()
    monkeypatch.setattr("warehouse.load.ControlTopic", gateway)
    for number in range(3):
        first = 4 * number
        events = [payment(f"t{first + i}", run="r", seq=first + i) for i in (1, 2)]
        events.append(payment("late", "PENDING" if number == 0 else "SUCCESS", run="r", seq=first + 3))
        lake.commit([*events, dead_letter(run="r", seq=first + 4)])
        gateway.say(first + 4, first + 3, dead=number + 1, closed=number == 2)
        load()
    query("set role dbt")
    query(FACT)
    query(DAILY)
    query("reset role")
    query(
        "insert into metadata.builds (build_id, status, finished_at, full_refresh, lookback, project_hash, epoch) "
        "values (%s, 'SUCCESS', now(), false, true, 'x', 1)",
        BUILD,
    )
    query("insert into metadata.processed_loads select load_id, %s from metadata.load_audit", BUILD)
    for consumer in ("fact_transactions", "daily_revenue_totals"):
        query("insert into metadata.consumer_watermarks values (%s, 1, 0, %s)", consumer, BUILD)

    def prove(**options: Any) -> dict[str, Any]:
        return run_proof(settings=database, layout=layout, **options)

    before = prove()
    assert {each["verdict"] for each in before["equations"]} == {"OK"}
    assert {each["name"] for each in before["equations"]} == {"E0", "E1", "E2", "E3", "E4"}
    yield prove
    query("drop table if exists marts.daily_revenue_totals, marts.fact_transactions")


def different(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [e["scope"] for e in result["equations"] if (e["name"], e["verdict"]) == (name, "DIFFERENT")]


# What is changed; which equation says so, and in which words; whether only the full proof looks there.
TAMPERED = {
    "an amount that the gateway said": (
        """update metadata.control_totals set amounts = jsonb_set(amounts, '{INR,amount}', '"1.00"')""",
        *("E0", {"feed": "r"}, False),
    ),
    "what had arrived of a feed": (
        "update metadata.feeds set settled_without_amount = settled_without_amount + 1",
        *("E0", {"feed": "r", "of": "events without an amount"}, False),
    ),
    "an offset of a load": (
        "update metadata.load_offsets set end_offset = end_offset + 1 where load_id = 2",
        *("E1", {"partition": 0, "load_id": 2, "offsets": [4, 9]}, False),
    ),
    "a load that is said to have failed": (
        "update metadata.load_audit set status = 'FAILED', error_code = 'X' where load_id = 3",
        *("E1", {"partition": 0, "offsets": [0, 12]}, False),
    ),
    "a count of a load": (
        "update metadata.load_totals set count = count - 1 where book = 'NEW' and load_id = 2",
        *("E2", {"load_id": 2}, False),
    ),
    "an audit row": (
        "update metadata.load_audit set rows_loaded = rows_loaded - 1, rejected = rejected + 1 where load_id = 2",
        *("E2", {"load_id": 2, "audit_row_says": "NEW"}, False),
    ),
    "both sides of a load": (
        "update metadata.load_totals set count = count - 1 where book in ('BRONZE', 'NEW') and load_id = 2",
        *("E2", {"load_id": 2, "book": "BRONZE"}, True),
    ),
    "an amount in silver": (
        "update raw.transactions set amount = amount + 0.01 where transaction_id = 't5'",
        *("E2", {"load_id": 2, "partition": 0, "rows_that_differ_at": "4"}, True),
    ),
    "a customer in silver": (
        "update raw.transactions set customer_id = 'someone else' where transaction_id = 't5'",
        *("E2", {"load_id": 2, "rows_that_differ_at": "4"}, True),
    ),
    "a status in silver": (
        "update raw.transactions set status = 'FAILED', failure_reason = 'X' where transaction_id = 't5'",
        *("E3", {"status": "SUCCESS", "days": "2026-11-19"}, True),
    ),
    "an offset in silver": (
        """update raw.transactions set "offset" = 1000 where transaction_id = 't5'""",
        *("E2", {"load_id": 2, "rows_that_differ_at": "4, 1000"}, True),
    ),
    "a row that is gone from silver": (
        "delete from raw.transactions where transaction_id = 't5'",
        *("E2", {"load_id": 2, "rows_that_differ_at": "4"}, True),
    ),
    "a status in the fact": (
        "update marts.fact_transactions set status = 'FAILED' where transaction_id = 't5'",
        *("E3", {"status": "FAILED", "days": "2026-11-19"}, True),
    ),
    "an amount in the fact": (
        "update marts.fact_transactions set amount = amount - 0.01 where transaction_id = 't5'",
        *("E3", {"status": "SUCCESS", "days": "2026-11-19"}, True),
    ),
    "a day of the summary": (
        "update marts.daily_revenue_totals set success_amount = success_amount + 0.01",
        *("E4", {"status": "SUCCESS", "days": "2026-11-19"}, False),
    ),
    "statuses of a load": (
        "update metadata.load_statuses set amount = amount + 0.01 where status = 'SUCCESS' and load_id = 3",
        *("E3", {"status": "SUCCESS"}, False),
    ),
}


@pytest.mark.parametrize("fault", TAMPERED)
def test_a_figure_that_was_changed_by_hand_is_named(
    whole: Callable[..., dict[str, Any]], query: Query, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    statement, name, scope, only_full = TAMPERED[fault]
    if fault == "statuses of a load":
        query("delete from metadata.proof_forward")
    query(statement)
    result = whole(full=only_full, explain=True)
    assert not result["ok"]
    named = different(result, name)
    assert any(scope.items() <= each.items() for each in named), named
    show_proof(result)
    shown = capsys.readouterr().out
    assert "DIFFERENT" in shown
    if only_full and name == "E3":
        assert "transaction id t5" in shown
    if only_full and fault.endswith("silver") and name == "E2":
        assert "t5" in shown


def test_a_full_proof_that_finds_a_fault_leaves_nothing_brought_forward(
    whole: Callable[..., dict[str, Any]], query: Query
) -> None:
    query("update marts.fact_transactions set amount = amount - 0.01 where transaction_id = 't5'")
    assert whole()["ok"], "the balance was brought forward, and nobody says that the fact has changed"
    assert not whole(full=True)["ok"]
    assert not whole()["ok"]
    query("update marts.fact_transactions set amount = amount + 0.01 where transaction_id = 't5'")
    assert whole()["ok"]
    assert query("select epoch, seq, processed_load_id from metadata.proof_forward") == [(1, 0, 3)]


def log_change(query: Query, status: str) -> None:
    query(
        "insert into metadata.fact_changes (epoch, build_id, transaction_id, old_occurred_on, old_currency, old_status,"
        " old_amount, new_occurred_on, new_currency, new_status, new_amount) select 1, %s, transaction_id, occurred_on,"
        " currency, %s, amount, occurred_on, currency, status, amount from marts.fact_transactions"
        " where transaction_id = 'late'",
        *(BUILD, status),
    )
    query("update metadata.consumer_watermarks set seq = (select max(seq) from metadata.fact_changes)")


def test_what_the_change_log_touched_is_looked_up_in_silver_and_fact(
    whole: Callable[..., dict[str, Any]], query: Query
) -> None:
    query("update marts.fact_transactions set status = 'PENDING' where transaction_id = 'late'")
    query("update marts.daily_revenue_totals set success_count = success_count - 1, pending_count = pending_count + 1,"
          " success_amount = success_amount - 107.23, pending_amount = pending_amount + 107.23")  # fmt: skip
    log_change(query, "SUCCESS")
    result = whole()
    assert {"transactions": "changed since the last proof"} in [
        {k: v for k, v in scope.items() if k == "transactions"} for scope in different(result, "E3")
    ]


def test_older_loads_and_feeds_are_brought_forward_and_stay_in_the_sums(
    whole: Callable[..., dict[str, Any]], load: Load, lake: LakeWriter, query: Query
) -> None:
    for number in range(24):
        lake.commit([payment(f"more{number}", run="endless", seq=number + 1)])
        load()
    query("insert into metadata.processed_loads select load_id, %s from metadata.load_audit where load_id > 3", BUILD)
    query("insert into marts.fact_transactions select transaction_id, occurred_at::date, currency, status, amount"
          " from raw.transactions where transaction_id like 'more%%'".replace("%%", "%"))  # fmt: skip
    query("update marts.daily_revenue_totals set success_count = success_count + 24,"
          " success_amount = success_amount + 24 * 107.23")  # fmt: skip
    query("delete from metadata.proof_forward")
    first = whole()
    assert first["ok"]
    assert query("select load_id, processed_load_id from metadata.proof_forward") == [(7, 27)]
    second = whole()
    for name in ("E1", "E2", "E4"):
        lines = [[e for e in each["equations"] if e["name"] == name] for each in (first, second)]
        assert lines[0] == lines[1]
    (older,) = [e for e in second["equations"] if "older_loads" in e["scope"]]
    assert (older["scope"]["older_loads"], older["left"]["count"], older["verdict"]) == (7, 13, "OK")
    (feed,) = [e for e in second["equations"] if e["scope"].get("feeds") and e["currency"] == "INR"]
    assert (feed["scope"]["feeds"], feed["left"]["count"], feed["verdict"]) == (1, 9, "OK")
    assert whole(full=True)["ok"]


def test_old_lines_of_proofs_are_counted_by_day_and_forgotten(
    whole: Callable[..., dict[str, Any]], query: Query
) -> None:
    query("update metadata.proof set checked_at = checked_at - interval '8 days'")
    lines = query("select count(*) from metadata.proof")[0][0]
    whole()
    assert query("select sum(lines) from metadata.proof_days") == [(lines,)]
    assert query("select count(*) from metadata.proof where checked_at < now() - interval '7 days'") == [(0,)]


def test_old_quality_metrics_are_summed_by_day(
    whole: Callable[..., dict[str, Any]], load: Load, lake: LakeWriter, query: Query
) -> None:
    query("update metadata.load_audit set started_at = started_at - interval '8 days'")
    sums = query("select sum(rows_checked), sum(rows_broken), sum(amount_concerned) from metadata.data_quality_metrics")
    load()
    assert query("select count(*) from metadata.data_quality_metrics") == [(0,)]
    assert (
        query("select sum(rows_checked), sum(rows_broken), sum(amount_concerned) from metadata.data_quality_days")
        == sums
    )
