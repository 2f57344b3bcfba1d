"""Builds in steps: begun for a run, dbt by someone else, finished; and what is left when a step is killed."""

import os
import subprocess
import time
from typing import Any

import psycopg
import pytest

from control.build import run_build
from control.build_books import Wish
from control.build_lock import this_process
from control.build_steps import begin_build, finish_build
from control.roles import dsn
from core.errors import OutageError, TieoutError
from core.layout import find_layout

pytestmark = pytest.mark.services


def dbt(marts: Any, build: dict[str, Any], *selection: str) -> "subprocess.Popen[bytes]":
    """Start dbt as an orchestrator does: in the dbt environment, with what begin said."""
    layout = find_layout()
    project = layout.checkout / "transformation"
    home = marts.layout.home
    known = {name: value for name, value in marts.env.items() if name.startswith("POSTGRES")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **known, **build["env"]}
    places = ["--project-dir", project, "--profiles-dir", project, "--target-path", home / "target"]
    exclude = ["--exclude", "resource_type:unit_test", "tag:full"]
    if not build["full_refresh"]:
        exclude.append("resource_type:seed")
    return subprocess.Popen(
        [str(layout.environments / "dbt/bin/dbt"), "--log-path", home / "log", "build", *exclude, *selection, *places],
        env=environment,
        stdout=subprocess.DEVNULL,
    )


def state(marts: Any) -> list[str]:
    return [row["status"] for row in marts.sql("select status from metadata.builds order by started_at")]


def is_as_after_a_full_refresh(marts: Any) -> bool:
    marts.remember()
    marts.build(full_refresh=True)
    return marts.sql("select count(*) as n from marts.fact_transactions")[0]["n"] > 0 and marts.differences() == {}


def test_a_build_in_steps_is_one_build_and_begins_once_for_a_run(marts: Any, payment: Any) -> None:
    marts.load([payment("a", "PENDING"), payment("b")])
    build = begin_build(Wish(run_id="r1"))
    marts.load([payment("a", "SUCCESS")])
    assert begin_build(Wish(run_id="r1")) == build
    assert (build["status"], build["full_refresh"], build["loads"]) == ("OPEN", True, [1])
    with pytest.raises(OutageError, match="another build is running: run r1"):
        marts.build()

    # No flag says that it computes everything anew: the books do.
    assert dbt(marts, build).wait(400) == 0
    assert finish_build(build["build_id"], None)["status"] == "SUCCESS"
    assert finish_build(build["build_id"], None)["status"] == "SUCCESS"
    assert marts.sql("select 1 from metadata.build_lock") == []
    assert marts.sql("select status from marts.fact_transactions where transaction_id = 'a'") == [{"status": "PENDING"}]
    row = marts.sql("select run_id, events, delay_p95_seconds >= delay_p50_seconds as ordered from metadata.builds")
    assert row == [{"run_id": "r1", "events": 2, "ordered": True}]

    build = begin_build(Wish(run_id="r2"))
    assert (build["full_refresh"], build["loads"]) == (False, [2])
    assert dbt(marts, build).wait(400) == 0
    finish_build(build["build_id"], None)
    assert begin_build(Wish(run_id="r3"))["status"] == "UNCHANGED"
    assert marts.sql("select 1 from metadata.build_lock") == []
    assert is_as_after_a_full_refresh(marts)


def test_a_build_without_all_its_models_is_no_success(marts: Any, payment: Any) -> None:
    marts.load([payment("a")])
    build = begin_build(Wish(run_id="r1"))
    assert dbt(marts, build, "--select", "+fact_transactions").wait(400) == 0
    with pytest.raises(TieoutError, match=r"was not built; .*\(and \d+ more\)"):
        finish_build(build["build_id"], None)
    assert state(marts) == ["FAILED"]
    assert marts.sql("select 1 from metadata.build_lock") == []
    with pytest.raises(TieoutError, match="there is no build"):
        finish_build("00000000-0000-0000-0000-000000000000", None)
    assert dbt(marts, build).wait(400) != 0, "a build that is over takes no more dbt"
    assert marts.build()["status"] == "SUCCESS"


@pytest.mark.slow
def test_a_failed_test_leaves_the_build_failed_also_when_the_step_is_repeated(marts: Any, payment: Any) -> None:
    marts.load([payment("a")])
    marts.build()
    marts.load([payment("b", merchant_name="Ghost")])
    marts.sql_only(
        "create function public.lose() returns trigger language plpgsql as 'begin return null; end'",
        "create trigger lose before insert on marts.dim_merchants for each row execute function public.lose()",
    )
    build = begin_build(Wish(run_id="r1"))
    assert dbt(marts, build).wait(400) != 0
    assert begin_build(Wish(run_id="r1")) == build
    assert dbt(marts, build).wait(400) != 0
    with pytest.raises(TieoutError, match=r"relationships_fact_transactions_merchant_key.*: fail"):
        finish_build(build["build_id"], None)
    assert state(marts) == ["SUCCESS", "FAILED"]
    assert "relationships" in marts.sql("select error from metadata.builds where status = 'FAILED'")[0]["error"]


def test_a_killed_dbt_is_cleared_and_the_next_run_takes_over_and_mends_it(marts: Any, payment: Any) -> None:
    marts.load([payment(f"a{n}", "PENDING") for n in range(30)])
    marts.build()
    marts.load([payment(f"a{n}", "SUCCESS") for n in range(30)])
    build = begin_build(Wish(run_id="r1"))
    waits = (
        "select pid from pg_stat_activity where application_name = 'tieout build' and wait_event_type = 'Lock'"
        " and datname = current_database()"
    )
    with psycopg.connect(dsn(marts.env, "postgres")) as holder:
        holder.execute("lock table marts.dim_merchants in access exclusive mode")
        process = dbt(marts, build)
        deadline = time.monotonic() + 400
        while not marts.sql(waits):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.kill()
        process.wait()
        # Its statement waits on: the run's own lock is taken all the same, and the statement ends first.
        again = begin_build(Wish(run_id="r1"))
        assert again == build
        assert marts.sql(waits) == []
        taken = begin_build(Wish(run_id="r2"))
    assert taken["build_id"] != build["build_id"]
    assert taken["loads"] == build["loads"]
    assert dbt(marts, taken).wait(400) == 0
    finish_build(taken["build_id"], None)
    assert state(marts) == ["SUCCESS", "FAILED", "SUCCESS"]
    assert is_as_after_a_full_refresh(marts)


def test_a_lease_keeps_others_out_until_it_ends_and_a_run_never_robs_a_living_process(marts: Any, payment: Any) -> None:
    marts.load([payment("a")])
    begin_build(Wish(run_id="r1"))
    with pytest.raises(OutageError, match=r"(?s)run r1.*--finish"):
        marts.build()
    marts.sql_only("update metadata.build_lock set lease_until = clock_timestamp() - interval '1 s'")
    assert marts.build()["status"] == "SUCCESS"
    assert state(marts) == ["FAILED", "SUCCESS"]
    marts.sql_only(
        "insert into metadata.build_lock (build_id, holder) values"
        f" (gen_random_uuid(), '{this_process().replace(':', 'x:', 1)}')"
    )
    with pytest.raises(OutageError, match="another build is running"):
        begin_build(Wish(run_id="r2"))


def test_a_build_waits_for_another_one_as_long_as_it_was_told(marts: Any, payment: Any, capfd: Any) -> None:
    marts.load([payment("a")])
    build = begin_build(Wish(run_id="r1"))
    with pytest.raises(OutageError, match="another build is running"):
        run_build(wait_seconds=1)
    assert "waiting for another build: run r1" in capfd.readouterr().err
    assert finish_build(build["build_id"], "given up")["status"] == "FAILED"
    assert marts.build()["status"] == "SUCCESS"
