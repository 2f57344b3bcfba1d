"""The equations: OK when they tie out, DIFFERENT when somebody changed a book, OPEN when a step is still to come."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase
from typer.testing import CliRunner

from core.layout import Layout
from warehouse import cli
from warehouse.proof import run_proof, show_proof
from warehouse.proof.equation import Equation, Side

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
Prove = Callable[..., list[tuple[Any, ...]]]


def test_a_cent_makes_an_equation_different() -> None:
    equal = Equation("E3", {}, "INR", Side(1, Decimal("1.00")), Side(1, Decimal("1.0000")))
    assert (equal.verdict, equal.as_json()["left"]["amount"]) == ("OK", "1.00")
    cent = Equation("E3", {}, "KWD", Side(1, Decimal("1.001")), Side(1, Decimal("1.0000")))
    assert (cent.verdict, cent.as_json()["difference"]) == ("DIFFERENT", {"count": 0, "amount": "0.001"})
    assert Equation("E1", {}, None, Side(2), Side(1), is_open=True).verdict == "OPEN"


@pytest.fixture
def prove(database: OwnDatabase, layout: Layout) -> Prove:
    def run(*names: str, **options: Any) -> list[tuple[Any, ...]]:
        result = run_proof(settings=database, layout=layout, **options)
        found = [e for e in result["equations"] if e["name"] in names]
        return [(e["name"], e["currency"], e["left"]["count"], e["right"]["count"], e["verdict"]) for e in found]

    return run


@pytest.fixture
def loaded(load: Load, lake: LakeWriter) -> None:
    lake.commit(
        [
            payment("a", "PENDING"),
            payment("a"),
            payment("a"),
            payment("b", "FAILED", currency="USD", partition=1),
            payment("c", amount=Decimal(0)),
            payment("d", currency="XXX"),
            payment("e", "PENDING"),
            dead_letter(),
        ]
    )
    load()


FACT = """
create table marts.fact_transactions as
select distinct on (transaction_id) transaction_id, occurred_at::date as occurred_on, currency, status, amount
from raw.transactions order by transaction_id, status = 'PENDING'
"""
DAILY = """
create table marts.daily_revenue_totals as
select occurred_on, currency, count(*) filter (where status = 'SUCCESS') as success_count,
    coalesce(sum(amount) filter (where status = 'SUCCESS'), 0) as success_amount,
    count(*) filter (where status = 'FAILED') as failed_count,
    coalesce(sum(amount) filter (where status = 'FAILED'), 0) as failed_amount,
    count(*) filter (where status = 'PENDING') as pending_count,
    coalesce(sum(amount) filter (where status = 'PENDING'), 0) as pending_amount
from marts.fact_transactions group by occurred_on, currency
"""


@contextmanager
def made_marts(query: Query, *marts: tuple[str, str]) -> Iterator[None]:
    """Make the facts that the proof reads and their daily totals, as a build does."""
    query("set role dbt")
    for fact, daily in marts:
        query(fact)
        query(daily)
    query("reset role")
    build = "00000000-0000-0000-0000-000000000001"
    query(
        "insert into metadata.builds (build_id, status, finished_at, full_refresh, lookback, project_hash, epoch) "
        "values (%s, 'SUCCESS', now(), false, true, 'x', 1)",
        build,
    )
    query("insert into metadata.processed_loads select load_id, %s from metadata.load_audit", build)
    for consumer in ("fact_transactions", "daily_revenue_totals"):
        query("insert into metadata.consumer_watermarks values (%s, 1, 5, %s)", consumer, build)
    yield
    for name in re.findall(r"create table (\S+)", " ".join(text for pair in marts for text in pair)):
        query(f"drop table if exists {name}")


@pytest.fixture
def built(loaded: None, query: Query) -> Iterator[None]:
    with made_marts(query, (FACT, DAILY)):
        yield


@pytest.mark.services
@pytest.mark.parametrize("full", [False, True])
def test_a_load_ties_out_by_offsets_and_by_amount(loaded: None, prove: Prove, full: bool) -> None:
    assert prove("E1", "E2", full=full) == [
        ("E1", None, 7, 7, "OK"),
        ("E1", None, 1, 1, "OK"),
        ("E2", None, 1, 1, "OK"),
        ("E2", "INR", 5, 5, "OK"),
        ("E2", "USD", 1, 1, "OK"),
        *([("E2", None, 7, 7, "OK")] if full else []),
    ]


@pytest.mark.services
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("full", [False, True])
def test_an_accepted_loss_stands_in_the_books_as_lost(
    load: Load, lake: LakeWriter, prove: Prove, query: Query, together: bool, full: bool
) -> None:
    lake.commit([payment("a"), dead_letter()])
    if not together:
        load()
    lake.lose(0, 5, "retention was set to an hour by mistake")
    lake.commit([payment("b")])
    load()
    assert query("select partition, start_offset, end_offset, reason from metadata.lost_offsets") == [
        (0, 2, 7, "retention was set to an hour by mistake")
    ]
    assert prove("E1", full=full) == [("E1", None, 8, 8, "OK")]
    query("update metadata.lost_offsets set offsets = offsets - 1")
    assert prove("E1", full=full)[0] == ("E1", None, 8, 7, "DIFFERENT")


@pytest.mark.services
@pytest.mark.parametrize("full", [False, True])
def test_a_dead_letter_within_an_accepted_loss_is_a_dead_letter(
    load: Load, lake: LakeWriter, layout: Layout, prove: Prove, query: Query, full: bool
) -> None:
    """The stream was killed between its two commits, then retention passed: only bronze lacks the offsets."""
    lake.commit([payment("a")])
    delivered = lake.deliver([payment("b"), dead_letter(), payment("c")])
    lake.write(lake.lake.dead_letters, delivered, {0: 1}, {0: 4})
    lake.rewind(0, 1)
    lake.lose(0, 5, "gone", tables=(lake.lake.bronze,))
    lake.commit([payment("d")])
    load()
    assert query("select start_offset, end_offset, offsets from metadata.lost_offsets") == [(1, 6, 4)]
    assert query('select "offset" from raw.dead_letters') == [(2,)]
    assert prove("E1", full=full) == [("E1", None, 7, 7, "OK")]


@pytest.mark.services
def test_a_loss_alone_is_a_load(load: Load, lake: LakeWriter, prove: Prove) -> None:
    lake.commit([payment("a")])
    load()
    lake.lose(0, 3, "gone")
    assert len(load()) == 1
    assert load() == []
    assert prove("E1") == [("E1", None, 4, 4, "OK")]


@pytest.mark.services
def test_full_sees_a_row_that_left_silver(loaded: None, prove: Prove, query: Query) -> None:
    query("delete from raw.transactions where transaction_id = 'e'")
    assert prove("E2")[1] == ("E2", "INR", 5, 5, "OK")
    assert prove("E2", full=True)[1] == ("E2", "INR", 5, 4, "DIFFERENT")


@pytest.mark.services
def test_full_sees_an_event_that_stands_twice_in_the_lake(
    loaded: None, prove: Prove, lake: LakeWriter, layout: Layout
) -> None:
    again = {**payment("a"), "topic_id": lake._topic_id, "topic": "t", "partition": 0, "offset": 1}
    arrived = {"arrived_at": payment()["occurred_at"], "year": 2026, "month": 11, "day": 19}
    lake.write(lake.lake.bronze, [{**again, **arrived}], {0: 7, 1: 1}, {0: 7, 1: 1})
    assert prove("E1", full=True)[0] == ("E1", None, 7, 8, "DIFFERENT")


@pytest.mark.services
def test_full_sees_a_file_that_is_gone_from_the_lake(loaded: None, prove: Prove, layout: Layout) -> None:
    shutil.rmtree(layout.data / "dead_letter_queue")
    assert prove("E1", full=True)[0] == ("E1", None, 7, 6, "DIFFERENT")


@pytest.mark.services
def test_a_changed_total_shows(loaded: None, prove: Prove, query: Query) -> None:
    query("update metadata.load_totals set amount = amount + 0.01 where book = 'NEW' and currency = 'INR'")
    assert [row[-1] for row in prove("E2")] == ["OK", "DIFFERENT", "OK"]
    query("update metadata.load_totals set count = count - 1 where book = 'DEAD_LETTER'")
    assert "DIFFERENT" in {row[-1] for row in prove("E2")}, "the audit row says otherwise"
    assert [row[-1] for row in prove("E1")] == ["DIFFERENT", "OK", "DIFFERENT"]


@pytest.mark.services
def test_what_waits_for_a_load_or_a_build_is_open(
    loaded: None, prove: Prove, lake: LakeWriter, database: OwnDatabase, layout: Layout
) -> None:
    lake.commit([payment("later"), payment("later still")])
    assert ("E1", None, 2, 0, "OPEN") in prove("E1")
    assert prove("E3", "E4") == [("E3", "INR", 3, 0, "OPEN"), ("E3", "USD", 1, 0, "OPEN")]
    assert run_proof(settings=database, layout=layout)["ok"] is True
    assert run_proof(strict=True, settings=database, layout=layout)["ok"] is False


@pytest.mark.services
def test_the_marts_tie_out_with_silver_and_with_each_other(built: None, prove: Prove) -> None:
    sides = [("INR", 1), ("INR", 1), ("USD", 1)]
    assert prove("E3", "E4") == [(name, c, n, n, "OK") for name in ("E3", "E4") for c, n in sides]


@pytest.mark.services
@pytest.mark.parametrize("mart", ["fact_transactions", "daily_revenue_totals"])
def test_a_mart_that_is_gone_after_a_build_is_different(built: None, prove: Prove, query: Query, mart: str) -> None:
    query(f"drop table marts.{mart}")
    assert "DIFFERENT" in {row[-1] for row in prove("E3", "E4")}


@pytest.mark.services
def test_a_lost_fact_is_different_in_both_directions(built: None, prove: Prove, query: Query) -> None:
    query("delete from marts.fact_transactions where transaction_id = 'a'")
    assert prove("E3", "E4")[1] == ("E3", "INR", 1, 0, "DIFFERENT")
    assert ("E4", "INR", 0, 1, "DIFFERENT") in prove("E4")


@pytest.mark.services
def test_a_wrong_amount_is_different(
    built: None, database: OwnDatabase, layout: Layout, query: Query, capsys: pytest.CaptureFixture[str]
) -> None:
    query("update marts.fact_transactions set amount = amount + 0.01 where transaction_id = 'a'")
    result = run_proof(settings=database, layout=layout)
    assert result["ok"] is False
    wrong = [e["difference"] for e in result["equations"] if e["verdict"] == "DIFFERENT"]
    assert wrong == [{"count": 0, "amount": "-0.01"}, {"count": 0, "amount": "0.01"}]
    show_proof(result)
    assert "2 DIFFERENT" in capsys.readouterr().out


@pytest.mark.services
def test_loads_after_the_build_are_open_and_the_rest_is_judged(
    built: None, load: Load, prove: Prove, lake: LakeWriter
) -> None:
    lake.commit([payment("e"), payment("f")])
    load()
    assert prove("E3") == [
        ("E3", "INR", 2, 0, "OPEN"),
        ("E3", "INR", 1, 1, "OK"),
        ("E3", "INR", 1, 1, "OK"),
        ("E3", "USD", 1, 1, "OK"),
    ]


@pytest.mark.services
def test_a_summary_behind_the_change_log_is_open(built: None, prove: Prove, query: Query) -> None:
    query("update metadata.consumer_watermarks set seq = 6 where consumer = 'fact_transactions'")
    assert {row[-1] for row in prove("E4")} == {"OPEN"}


@pytest.mark.services
def test_the_proof_is_written_down(loaded: None, prove: Prove, query: Query) -> None:
    prove()
    assert query("select equation, verdict, count(*) from metadata.proof group by 1, 2 order by 1, 2") == [
        ("E0", "UNATTESTED", 1),
        ("E1", "OK", 2),
        ("E2", "OK", 3),
        ("E3", "OPEN", 2),
    ]


@pytest.mark.services
def test_the_commands_speak_json_and_exit_codes(
    lake: LakeWriter, database: OwnDatabase, layout: Layout, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEOUT_HOME", str(layout.home))
    monkeypatch.setattr("warehouse.load.load_settings", lambda _: database)
    monkeypatch.setattr("warehouse.proof.run.load_settings", lambda _: database)
    app = typer.Typer()
    cli.mount(app)
    runner = CliRunner()
    assert json.loads(runner.invoke(app, ["load", "--json"]).stdout) == {"loads": []}
    lake.commit([payment()])
    (entry,) = json.loads(runner.invoke(app, ["load", "--json"]).stdout)["loads"]
    assert {"load_id", "versions", "rows_read", "rows_loaded", "duplicates", "rejected", "already_loaded"} <= set(entry)
    proven = runner.invoke(app, ["proof", "--json"])
    assert proven.exit_code == 0
    assert json.loads(proven.stdout)["ok"] is True
    assert runner.invoke(app, ["proof", "--strict"]).exit_code == 1
    query("update metadata.load_totals set count = count + 1")
    assert runner.invoke(app, ["proof"]).exit_code == 1


def test_help_is_quick_and_has_examples() -> None:
    app = typer.Typer()
    cli.mount(app)
    for command in ("load", "proof", "migrate"):
        assert f"./scripts/tieout {command}" in CliRunner().invoke(app, [command, "--help"]).stdout
    source = Path(cli.__file__).read_text()
    assert "\nimport psycopg" not in source
