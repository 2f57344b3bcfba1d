"""Builds that are killed, fail, or meet another build: the next one makes the marts right."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
import pytest

from control.roles import dsn
from core.errors import TieoutError
from core.locks import AdvisoryKey
from transformation import plan
from transformation.build import run_build

pytestmark = pytest.mark.services

BUILD = "from transformation.build import run_build; run_build()"


@contextmanager
def build_stopped_at(marts: Any, relation: str, niceness: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Run a build in a process of its own, up to where it waits for a table that we hold."""
    with psycopg.connect(dsn(marts.env, "postgres")) as holder:
        holder.execute(f"lock table {relation} in access exclusive mode")
        command = ["nice", "-n", str(niceness), sys.executable, "-c", BUILD]
        process = subprocess.Popen(command, env={**os.environ, **marts.env})
        deadline = time.monotonic() + 400
        waiting = (
            "select 1 from pg_locks as l inner join pg_stat_activity as a using (pid)"
            f" where not l.granted and l.relation = '{relation}'::regclass and a.application_name = 'tieout build'"
        )
        try:
            while not marts.sql(waiting):
                assert process.poll() is None, "the build ended before it came to the table"
                assert time.monotonic() < deadline, f"the build never waited for {relation}"
                time.sleep(0.05)
            yield process
        except BaseException:
            process.kill()
            process.wait()
            raise
        holder.rollback()


def is_as_after_a_full_refresh(marts: Any) -> bool:
    marts.remember()
    marts.build(full_refresh=True)
    assert marts.sql("select count(*) as n from marts.fact_transactions")[0]["n"] > 0
    differences = marts.differences()
    assert differences == {}
    return True


def write_two_rounds(marts: Any, payment: Any) -> None:
    marts.load([payment(f"a{n}", "PENDING" if n % 3 else "SUCCESS", customer_id=f"c{n % 4}") for n in range(40)])
    marts.build()
    marts.load([payment(f"a{n}", "SUCCESS", customer_id=f"c{n % 4}") for n in range(40) if n % 3])
    marts.load([payment(f"b{n}", "FAILED", customer_id=f"d{n % 4}", currency="USD") for n in range(10)])


def test_a_mart_that_is_gone_is_made_anew_by_the_next_build(marts: Any, payment: Any) -> None:
    write_two_rounds(marts, payment)
    marts.build()
    assert marts.build()["status"] == "UNCHANGED"
    with psycopg.connect(dsn(marts.env, "postgres")) as db:
        db.execute("drop table marts.daily_revenue_totals cascade")
    assert marts.build()["full_refresh"] is True
    assert marts.sql("select sum(success_count) as n from marts.daily_revenue_totals")[0]["n"] == 40


@pytest.mark.slow
def test_a_build_of_mostly_new_rows_computes_the_marts_anew(marts: Any, payment: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(plan, "MANY_ROWS", 30)

    def load(name: str, count: int) -> None:
        load_id = marts.load([payment(f"{name}{number}") for number in range(count)])
        with psycopg.connect(dsn(marts.env, "postgres")) as db:
            db.execute("insert into metadata.load_totals values (%s, 'NEW', 0, 'INR', %s, 1)", (load_id, count))

    load("a", 100)
    marts.build()
    load("b", 40)
    assert marts.build()["full_refresh"] is False
    load("c", 80)
    assert marts.build()["full_refresh"] is True


@pytest.mark.parametrize(
    "relation",
    [
        "marts.fact_transactions",
        pytest.param("staging.states", marks=pytest.mark.slow),
        pytest.param("intermediate.int_customers", marks=pytest.mark.slow),
    ],
)
def test_a_build_killed_at_a_table_is_finished_by_the_next(marts: Any, payment: Any, relation: str) -> None:
    write_two_rounds(marts, payment)
    with build_stopped_at(marts, relation) as process:
        worker = psutil.Process(process.pid).children()[0]
        process.send_signal(signal.SIGKILL)
        process.wait()
        worker.wait(120)
    report = marts.build()

    assert report["status"] == "SUCCESS"
    assert [row["status"] for row in marts.sql("select status from metadata.builds order by started_at")] == [
        "SUCCESS",
        "FAILED",
        "SUCCESS",
    ]
    processed = marts.sql("select count(*) as n from metadata.processed_loads")
    assert processed == [{"n": 3}]
    assert is_as_after_a_full_refresh(marts)


@pytest.mark.slow
def test_dbt_killed_alone_fails_the_build_and_the_next_goes_on(marts: Any, payment: Any) -> None:
    write_two_rounds(marts, payment)
    with build_stopped_at(marts, "marts.dim_merchants") as process:
        psutil.Process(process.pid).children()[0].kill()
        assert process.wait(200) != 0
    assert marts.sql("select error from metadata.builds where status = 'FAILED'") == [{"error": "dbt was killed"}]
    assert marts.build()["status"] == "SUCCESS"
    assert is_as_after_a_full_refresh(marts)


def test_two_builds_at_once_are_one_build_and_one_refusal_and_a_nice_one_gives_way(marts: Any, payment: Any) -> None:
    write_two_rounds(marts, payment)
    with build_stopped_at(marts, "marts.fact_transactions", niceness=5) as process:
        with pytest.raises(TieoutError, match=r"another build is running: role dbt .*process \d+"):
            marts.build()
        assert process.poll() is None
        servers = marts.sql("select pid from pg_stat_activity where application_name = 'tieout build' and query <> ''")
        assert {os.getpriority(os.PRIO_PROCESS, server["pid"]) for server in servers} == {10}
    assert process.wait(400) == 0
    assert marts.build()["status"] == "UNCHANGED"


def test_a_build_waits_for_another_one_as_long_as_it_was_told(marts: Any, payment: Any, capfd: Any) -> None:
    marts.load([payment("a")])
    with psycopg.connect(dsn(marts.env, "dbt"), autocommit=True) as other:
        other.execute("set application_name = 'of a test'")
        other.execute("select pg_advisory_lock(%s)", [int(AdvisoryKey.BUILD)])
        with pytest.raises(TieoutError, match=r"another build is running: role dbt \(of a test\)"):
            run_build(wait_seconds=0.3)
    assert "for another build: role dbt (of a test)" in capfd.readouterr().err
    assert marts.sql("select 1 from metadata.builds") == []


def test_a_failing_test_is_red_again_until_its_cause_is_gone(marts: Any, payment: Any) -> None:
    marts.load([payment("a")])
    marts.build()
    # A merchant of the fact that the dimension does not have.
    marts.load([payment("b", merchant_name="Ghost")])
    marts.sql_only(
        "create function public.lose() returns trigger language plpgsql as 'begin return null; end'",
        "create trigger lose before insert on marts.dim_merchants for each row execute function public.lose()",
    )
    for _ in range(2):
        with pytest.raises(TieoutError, match="relationships_"):
            marts.build()
    with pytest.raises(TieoutError):
        marts.build()
    report = marts.build(full_refresh=True)
    assert report["status"] == "SUCCESS"
    assert marts.sql("select count(*) as n from marts.dim_merchants") == [{"n": 2}]


@pytest.mark.slow
def test_a_fact_refreshed_alone_makes_the_marts_behind_it_rebuild_themselves(marts: Any, payment: Any) -> None:
    write_two_rounds(marts, payment)
    marts.build()
    marts.remember()
    marts.sql_only(
        "update metadata.consumer_watermarks set epoch = epoch + 7, seq = 0 where consumer = 'fact_transactions'",
        "delete from metadata.fact_changes",
        "update marts.daily_revenue_totals set success_count = 999",
    )
    marts.load([])
    marts.build()
    assert len({row["epoch"] for row in marts.sql("select epoch from metadata.consumer_watermarks")}) == 1
    assert marts.differences() == {}


def test_readers_never_miss_a_view_while_the_tables_behind_it_are_swapped(marts: Any, payment: Any) -> None:
    write_two_rounds(marts, payment)
    marts.build()
    refresh = BUILD.replace("run_build()", "run_build(full_refresh=True)")
    process = subprocess.Popen([sys.executable, "-c", refresh], env={**os.environ, **marts.env})
    seen = []
    try:
        while process.poll() is None:
            for query in (
                "select sum(attempt_count)::int as n from marts.daily_revenue_summary",
                "select sum(transaction_count)::int as n from marts.dim_customers",
                "select count(*) * 50 as n from marts.dim_dates",
            ):
                seen += marts.sql(query, role="reader")
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert len(seen) > 50
    assert {row["n"] for row in seen} == {50}


def test_a_watermark_that_someone_else_moved_cannot_be_moved_again(marts: Any, payment: Any) -> None:
    marts.load([payment("a")])
    marts.build()
    move = (
        "select metadata.move_watermark('dim_merchants', epoch, seq, epoch, seq + 1, build_id) "
        "from (values ({epoch}::bigint, {seq}::bigint, '{build_id}'::uuid)) as v (epoch, seq, build_id)"
    ).format(**marts.sql("select * from metadata.consumer_watermarks where consumer = 'dim_merchants'")[0])
    marts.sql(move, role="dbt")
    with pytest.raises(psycopg.errors.SerializationFailure):
        marts.sql(move, role="dbt")


def test_a_build_that_lost_its_lock_commits_nothing_once_another_one_has_begun(marts: Any, payment: Any) -> None:
    """Its own connection is ended at the database, as a cut network would end it; dbt's sessions live on."""
    write_two_rounds(marts, payment)
    with build_stopped_at(marts, "marts.fact_transactions") as process:
        named = f"application_name = 'tieout, process {process.pid}'"
        assert len(marts.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where {named}")) == 1
        killed = "update metadata.builds set status = 'FAILED', finished_at = now(), error = 'killed'"
        marts.sql_only(f"{killed} where status = 'RUNNING'")
    assert process.wait(400) != 0
    assert marts.sql("select count(*) as n from marts.fact_transactions where status = 'SUCCESS'") == [{"n": 14}]
    assert marts.build()["status"] == "SUCCESS"
    assert is_as_after_a_full_refresh(marts)


@pytest.mark.slow
def test_changes_that_every_mart_has_applied_are_forgotten_after_a_week(marts: Any, payment: Any) -> None:
    for name in "abc":
        marts.load([payment(name)])
        marts.build()
    marts.sql_only(
        "update metadata.fact_changes set changed_at = changed_at - interval '8 days' where transaction_id = 'b'",
        "update metadata.builds set started_at = started_at - interval '2 hours', finished_at = finished_at",
    )
    marts.load([payment("d")])
    marts.build()
    left = [row["transaction_id"] for row in marts.sql("select transaction_id from metadata.fact_changes order by seq")]
    assert left == ["c", "d"]


@pytest.mark.slow
def test_builds_killed_at_random_moments_leave_nothing_wrong(marts: Any, payment: Any) -> None:
    rng = random.Random(11)
    marts.load([payment(f"s{n}", "PENDING") for n in range(3000)])
    marts.build()
    for round_ in range(12):
        marts.load([payment(f"s{n}", "SUCCESS") for n in range(round_ * 200, round_ * 200 + 200)])
        process = subprocess.Popen([sys.executable, "-c", BUILD], env={**os.environ, **marts.env})
        time.sleep(rng.uniform(1.0, 6.0))
        process.kill()
        process.wait()
    marts.build()
    assert marts.sql("select count(*) as n from marts.fact_transactions where status = 'SUCCESS'") == [{"n": 2400}]
    assert is_as_after_a_full_refresh(marts)
