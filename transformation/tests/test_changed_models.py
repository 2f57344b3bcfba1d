"""A project that changes between two builds: only models whose rows would be others are computed anew."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from core.errors import TieoutError
from core.layout import Layout
from transformation import build

pytestmark = pytest.mark.services

FEE = ("seeds/payment_channels.csv", "1.8000", "2.8000")
# A view, a mart and the fact that gain a column each.
SUMMARY = (
    "models/marts/daily_revenue_summary.sql",
    "as net_amount\nfrom totals",
    "as net_amount,\n    pending_count as lost_count\nfrom totals",
)
TOTALS = (
    "models/marts/daily_revenue_totals.sql",
    "'fee_revenue', 'fraud_count'",
    "'lost_count', 'fee_revenue', 'fraud_count'",
)
LOST = (
    "models/marts/daily_revenue_totals.sql",
    "    {{ signed_sum('fee_revenue'",
    "    {{ signed_count(\"status = 'FAILED'\") }} as lost_count,\n    {{ signed_sum('fee_revenue'",
)
LARGE = (
    "models/marts/fact_transactions.sql",
    "join(',\\n    ') }}",
    "join(',\\n    ') }},\n    amount >= 150 as is_large",
)
CITY = (
    "models/intermediate/int_customer_cities.sql",
    "max(occurred_at) as last_seen_at\n",
    "max(occurred_at) as last_seen_at,\n    count(*) as row_count\n",
)


@pytest.fixture
def copy(marts: Any, project: Path, tmp_path: Path, monkeypatch: Any) -> Path:
    """The project that builds of this test run: a copy, to change."""
    layout = Layout(tmp_path / "checkout", marts.layout.home)
    shutil.copytree(project, layout.checkout / "transformation", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    layout.environments.parent.mkdir()
    layout.environments.symlink_to(marts.layout.environments)
    monkeypatch.setattr(build, "find_layout", lambda: layout)
    return layout.checkout / "transformation"


def edit(project: Path, *changes: tuple[str, str, str]) -> None:
    for file, old, new in changes:
        text = (project / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old)
        (project / file).write_text(text.replace(old, new), encoding="utf-8")


def add_column(project: Path, model: str, after: str, name: str, kind: str) -> None:
    """Add a column to a model's contract."""
    entry = f"      - name: {name}\n        description: Of a test.\n        data_type: {kind}\n"
    edit(project, (f"models/marts/{model}.yml", f"      - name: {after}\n", f"{entry}      - name: {after}\n"))


def load_two_rounds(marts: Any, payment: Any) -> None:
    """60 payments, two of three of them pending and built; then a load in which 20 of these fail."""

    def some(count: int, *statuses: str) -> list[dict[str, Any]]:
        rows = [(n, statuses[n % 3]) for n in range(count) if statuses[n % 3]]
        return [payment(f"a{n}", status, customer_id=f"c{n % 4}", amount=f"{n + 100}.00") for n, status in rows]

    marts.load(some(60, "SUCCESS", "PENDING", "PENDING"))
    marts.build()
    marts.load(some(30, "", "FAILED", "FAILED"))


def test_a_view_a_mart_and_the_fact_that_gain_a_column_leave_the_rest_as_it_is(
    marts: Any, payment: Any, copy: Path
) -> None:
    load_two_rounds(marts, payment)
    epoch = "select distinct epoch from metadata.consumer_watermarks"
    before = marts.sql(epoch)
    edit(copy, SUMMARY, TOTALS, LOST, LARGE)
    add_column(copy, "daily_revenue_summary", "net_amount", "lost_count", "bigint")
    add_column(copy, "daily_revenue_totals", "fee_revenue", "lost_count", "bigint")
    add_column(copy, "fact_transactions", "load_id", "is_large", "boolean")

    report = marts.build()

    assert (report["full_refresh"], report["loads"]) == (False, [2])
    assert report["computed_anew"] == ["daily_revenue_totals", "fact_transactions"]
    assert marts.sql(epoch) == before, "the change log goes on"
    logged = "select old_status, new_status, count(*) as n from metadata.fact_changes group by 1, 2"
    assert marts.sql(logged) == [{"old_status": "PENDING", "new_status": "FAILED", "n": 20}]
    assert marts.sql("select sum(lost_count) as n from marts.daily_revenue_summary") == [{"n": 20}]
    assert marts.sql("select count(*) as n from marts.fact_transactions where is_large") == [{"n": 10}]
    assert marts.build()["status"] == "UNCHANGED"
    marts.remember()
    assert len(marts.build(full_refresh=True)["computed_anew"]) >= 12
    assert marts.differences() == {}


def test_a_view_alone_computes_nothing_anew_and_what_changes_the_past_asks(
    marts: Any, payment: Any, copy: Path
) -> None:
    load_two_rounds(marts, payment)
    marts.remember()
    edit(copy, ("models/marts/daily_revenue_summary.sql", "numeric(20, 4) as average", "numeric(20, 2) as average"))
    edit(copy, ("models/marts/daily_revenue_summary.yml", "numeric(20,4)", "numeric(20,2)"))
    report = marts.build()
    assert (report["status"], report["computed_anew"]) == ("SUCCESS", [])

    marts.remember()
    edit(copy, FEE)
    marts.load([payment("b", "SUCCESS", payment_method="UPI")])
    for _ in range(2):
        with pytest.raises(TieoutError, match=r"(?s)have changed what the past.*: 20 rows.*build --full-refresh"):
            marts.build()
    views = {"stg_transactions", "stg_merchants", "int_transactions_enriched"}
    assert marts.differences().keys() <= {*views, "dim_channels"}
    assert marts.build(full_refresh=True)["status"] == "SUCCESS"


@pytest.mark.slow
def test_a_model_in_the_middle_takes_along_those_whose_rows_hang_on_it(marts: Any, payment: Any, copy: Path) -> None:
    load_two_rounds(marts, payment)
    edit(copy, CITY)
    report = marts.build()
    assert report["computed_anew"] == [
        *("daily_segment_totals", "int_customer_cities", "int_customer_segments", "int_customers"),
    ]
    assert marts.sql("select sum(row_count) as n from intermediate.int_customer_cities") == [{"n": 60}]
    marts.remember()
    marts.build(full_refresh=True)
    assert marts.differences() == {}


@pytest.mark.slow
def test_marts_of_before_models_had_hashes_are_computed_anew_without_being_asked(marts: Any, payment: Any) -> None:
    load_two_rounds(marts, payment)
    marts.sql_only("delete from metadata.build_models", "update metadata.builds set project_hash = 'another'")
    report = marts.build()
    assert (report["full_refresh"], report["loads"]) == (False, [2])
    assert {"fact_transactions", "daily_revenue_totals", "int_customers"} <= {*report["computed_anew"]}
    assert marts.sql("select count(*) as n from metadata.fact_changes") == [{"n": 20}]
    marts.remember()
    marts.build(full_refresh=True)
    assert marts.differences() == {}
