"""The pipeline's DAG on a real platform: what it must do when all is well, and when it is not."""

import os
import signal
from typing import Any

import pytest
from runs import Runs, wait_for

pytestmark = [pytest.mark.services, pytest.mark.timeout(2400)]

SILVER = "select count(distinct transaction_id) from raw.transactions"
FACT = "select count(*) from marts.fact_transactions"
# What a full refresh must not change, to the cent and whatever the order.
CONTENT = """
    select 'fact', count(*), sum(amount), sum(fee_revenue),
        md5(string_agg(transaction_id || status || amount, ',' order by transaction_id))
    from marts.fact_transactions
    union all
    select 'daily', count(*), sum(success_amount), sum(failed_amount), null from marts.daily_revenue_totals
    union all
    select 'cities', sum(success_count), sum(success_amount), sum(failed_amount), null from marts.daily_city_totals
    union all
    select 'customers', count(*), null, null, md5(string_agg(customer_id, ',' order by customer_id))
    from marts.dim_customers
"""


@pytest.fixture(scope="module")
def runs(platform: Any) -> Runs:
    return Runs(platform.settings)


def _produce(platform: Any, total: int, seed: int) -> None:
    platform.tieout("produce", "--rate", "0", "--total", str(total), "--seed", str(seed))


def test_a_triggered_run_ends_in_success_and_the_marts_hold_what_was_produced_before(platform: Any, runs: Runs) -> None:
    code, words = runs.refused(lookback_days="many")
    assert code in (400, 422)
    assert "lookback_days" in words
    before = platform.rows(SILVER)[0][0]
    _produce(platform, 300, seed=41)

    run = runs.trigger()
    assert runs.wait(run) == "success", runs.reasons(run)

    states = runs.tasks(run)
    assert len(states) > 20
    assert set(states.values()) <= {"success", "skipped"}
    assert states["build_marts.fact_transactions"] == "success"
    assert platform.rows(FACT) == platform.rows(SILVER)
    assert platform.rows(SILVER)[0][0] >= before + 300
    loads = platform.rows(f"select load_id from metadata.load_audit where run_id = '{run}'")
    assert loads
    assert platform.rows(f"select status from metadata.builds where run_id = '{run}'") == [("SUCCESS",)]
    assert platform.rows(f"select count(*) > 0 from metadata.proof where run_id = '{run}'") == [(True,)]
    events = runs.rest.call("GET", "/api/v2/assets/events?limit=50")["asset_events"]
    assert {event["name"] for event in events} >= {"bronze", "silver", "gold"}


@pytest.mark.slow
def test_a_run_without_news_skips_the_build_and_is_green(platform: Any, runs: Runs) -> None:
    _produce(platform, 50, seed=42)
    assert runs.wait(runs.trigger()) == "success"
    run = runs.trigger()
    assert runs.wait(run) == "success"
    states = runs.tasks(run)
    assert states["build_marts.fact_transactions"] == "skipped"
    assert states["verify.publish"] == "skipped"
    assert states["verify.control_totals"] == "success"


@pytest.mark.slow
def test_a_contradicting_form_is_refused_in_the_first_task_with_words_and_without_retry(
    platform: Any, runs: Runs
) -> None:
    run = runs.trigger(from_date="2026-03-02", to_date="2026-03-01")
    assert runs.wait(run, 120) == "failed"
    assert "is after to_date" in runs.log(run, "load_silver.bronze_is_fresh")
    incident = f"select task_id, reason from metadata.pipeline_incidents where run_id = '{run}'"
    [(task, reason)] = platform.rows(incident)
    assert task == "load_silver.bronze_is_fresh"
    assert "is after to_date" in reason


@pytest.mark.slow
def test_a_failing_dbt_test_turns_the_run_red_also_on_retry_and_the_next_run_mends_it(
    platform: Any, runs: Runs
) -> None:
    """dim_channels is made anew in each build: a method that its seed has twice breaks its test each time."""
    _produce(platform, 50, seed=43)
    assert runs.wait(runs.trigger()) == "success"
    before = platform.rows(FACT)
    platform.rows(
        "select; drop index staging.payment_channels_key;"
        " insert into staging.payment_channels select 'Cheque', payment_channel, fee_percent"
        " from staging.payment_channels limit 2"
    )
    _produce(platform, 50, seed=44)

    run = runs.trigger()
    assert runs.wait(run) == "failed"
    states = runs.tasks(run)
    assert states["build_staging_and_intermediate.build"] == "failed"
    assert states["build_marts.dim_channels"] == "failed"
    assert states["verify.publish"] == "upstream_failed"
    assert "trying again would not help" in runs.log(run, "build_staging_and_intermediate.build")

    runs.clear(run, only_failed=True)
    wait_for(lambda: runs.state(run) not in ("failed",), "the cleared run")
    assert runs.wait(run) == "failed"
    assert runs.tasks(run)["build_marts.dim_channels"] == "failed"

    platform.rows(
        "select; delete from staging.payment_channels where payment_method = 'Cheque';"
        " create unique index payment_channels_key on staging.payment_channels (payment_method)"
    )
    mended = runs.trigger()
    assert runs.wait(mended) == "success"
    assert platform.rows(FACT)[0][0] == before[0][0] + 50


@pytest.mark.slow
def test_a_failing_model_turns_the_run_red_its_mart_stays_whole_and_the_next_run_mends_it(
    platform: Any, runs: Runs
) -> None:
    _produce(platform, 50, seed=48)
    assert runs.wait(runs.trigger()) == "success"
    mart = "select md5(string_agg(c::text, ',' order by c::text)) from marts.daily_city_totals c"
    before, payments = platform.rows(mart), platform.rows(FACT)
    platform.rows("select; alter table marts.daily_city_totals add constraint drill check (currency is null) not valid")
    _produce(platform, 50, seed=49)

    run = runs.trigger()
    assert runs.wait(run) == "failed"
    states = runs.tasks(run)
    assert states["build_staging_and_intermediate.build"] == "failed"
    assert states["build_marts.daily_city_totals"] == "failed"
    assert states["build_marts.fact_transactions"] == "success"
    assert states["build_marts.daily_merchant_totals"] == "success"
    assert states["verify.publish"] == "upstream_failed"
    assert "daily_city_totals" in runs.log(run, "build_staging_and_intermediate.build")
    assert platform.rows(mart) == before
    assert platform.rows(FACT)[0][0] == payments[0][0] + 50

    platform.rows("select; alter table marts.daily_city_totals drop constraint drill")
    assert runs.wait(runs.trigger()) == "success"
    content = platform.rows(CONTENT)
    platform.tieout("build", "--full-refresh")
    assert platform.rows(CONTENT) == content


@pytest.mark.slow
def test_a_run_whose_scheduler_is_killed_ends_in_success_and_equals_a_full_refresh(platform: Any, runs: Runs) -> None:
    _produce(platform, 2_000, seed=45)
    run = runs.trigger()
    build = "build_staging_and_intermediate.build"
    wait_for(lambda: runs.tasks(run).get(build) == "running", "the build to run", 600)

    for process in platform.processes("airflow", "scheduler"):
        os.kill(process.pid, signal.SIGKILL)

    assert runs.wait(run, 1200) == "success", runs.tasks(run)
    content = platform.rows(CONTENT)
    assert content[0][1] >= 2_000
    platform.tieout("build", "--full-refresh")
    assert platform.rows(CONTENT) == content


@pytest.mark.slow
def test_two_triggers_at_once_run_one_after_the_other(platform: Any, runs: Runs) -> None:
    _produce(platform, 50, seed=46)
    first, second = runs.trigger(), runs.trigger()
    assert {runs.wait(first), runs.wait(second)} == {"success"}
    overlap = (
        "select count(*) from metadata.builds a, metadata.builds b where a.build_id <> b.build_id"
        " and a.started_at < b.finished_at and b.started_at < a.finished_at"
    )
    assert platform.rows(overlap) == [(0,)]


@pytest.mark.slow
def test_a_range_without_data_changes_nothing_and_is_green(platform: Any, runs: Runs) -> None:
    before = platform.rows(CONTENT)
    run = runs.trigger(from_date="2001-01-01", to_date="2001-01-02")
    assert runs.wait(run) == "success"
    assert platform.rows(CONTENT) == before


@pytest.mark.slow
def test_a_database_that_is_away_is_waited_for(platform: Any, runs: Runs) -> None:
    """Every process of Airflow loses its own database too; the supervisor brings all of them back."""
    _produce(platform, 50, seed=47)
    run = runs.trigger()
    wait_for(lambda: runs.state(run) == "running", "the run to begin")
    for process in platform.processes("postgres", "-D"):
        os.kill(process.pid, signal.SIGKILL)
    assert runs.wait(run, 1800) == "success"


@pytest.mark.slow
def test_a_backfill_brings_back_what_silver_lost_proves_it_and_publishes_gold(platform: Any, runs: Runs) -> None:
    _produce(platform, 200, seed=50)
    assert runs.wait(runs.trigger()) == "success"
    content = platform.rows(CONTENT)
    some = "(select transaction_id from marts.fact_transactions order by transaction_id limit 7)"
    [(first, last)] = platform.rows("select min(occurred_on), max(occurred_on) from marts.fact_transactions")
    platform.rows(f"select; delete from raw.transactions where transaction_id in {some}")
    backfills = Runs(platform.settings, "backfill")

    run = backfills.trigger(from_date=first.isoformat(), to_date=last.isoformat())
    assert backfills.wait(run) == "success", backfills.reasons(run)
    assert set(backfills.tasks(run).values()) == {"success"}
    log = backfills.log(run, "read_again")
    assert "restored" in log
    assert last.isoformat() in log
    restored = "select sum(rows_loaded) from metadata.backfill_days"
    assert platform.rows(restored)[0][0] >= 7
    assert platform.rows(CONTENT) == content
    assert platform.rows(f"select count(*) > 0 from metadata.proof where run_id = '{run}'") == [(True,)]
    events = backfills.rest.call("GET", "/api/v2/assets/events?limit=50&order_by=-timestamp")["asset_events"]
    assert any(event["name"] == "gold" and event["source_run_id"] == run for event in events)

    by_offsets = backfills.trigger(offsets="0:0-50")
    assert backfills.wait(by_offsets) == "success", backfills.reasons(by_offsets)
    assert platform.rows(CONTENT) == content
    without_range = backfills.trigger()
    assert backfills.wait(without_range) == "failed"
    assert "a backfill needs from_date and to_date" in backfills.log(without_range, "read_again")


@pytest.mark.slow
def test_lake_maintenance_goes_to_its_end_and_proves_everything_in_full(platform: Any, runs: Runs) -> None:
    _produce(platform, 50, seed=51)
    assert runs.wait(runs.trigger()) == "success"
    content = platform.rows(CONTENT)
    maintenance = Runs(platform.settings, "lake_maintenance")
    run = maintenance.trigger()
    assert maintenance.wait(run) == "success", maintenance.reasons(run)
    assert maintenance.tasks(run) == {"maintain": "success", "dbt_tests": "success", "full_proof": "success"}
    assert platform.rows(f"select count(*) > 0 from metadata.proof where run_id = '{run}'") == [(True,)]
    assert platform.rows(CONTENT) == content
