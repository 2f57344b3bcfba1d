import json
import subprocess

import pytest

from contracts.entities import in_force_file, load_entities, load_entity
from contracts.model import PAYMENTS
from control import catching_up, first_load, rounds
from control.accounts import Accounts
from control.env import ensure_env, lake_of
from control.offsets import behind
from control.processes import Platform
from core.errors import OutageError, RefusalError, TieoutError
from core.layout import find_layout
from core.parts import Parts, join
from spark_streaming.failed_entities import read_failed, write_failed

PROVEN = {"ok": True, "equations": [{"verdict": "OK"}, {"verdict": "OPEN"}]}


@pytest.fixture
def layout(tmp_path):
    layout = find_layout({"TIEOUT_HOME": str(tmp_path)})
    ensure_env(layout)
    return layout


@pytest.fixture
def steps(monkeypatch):
    """The steps of a round, each replaced by one that writes its name down; a test may put another in."""
    done = []
    monkeypatch.setattr(rounds, "_stream", lambda *_: done.append("stream") or "caught up")
    monkeypatch.setattr(rounds, "_load", lambda: done.append("load") or "loaded")
    monkeypatch.setattr(rounds, "_build", lambda: done.append("build") or "built")

    def prove(outcome):
        done.append("proof")
        outcome.proof = PROVEN
        return "proven"

    monkeypatch.setattr(rounds, "_proof", prove)
    return done


def test_a_round_is_stream_load_build_proof_and_is_remembered(layout, steps):
    outcome = rounds.run_round(layout, {}, service_runs=False)
    assert steps == ["stream", "load", "build", "proof"]
    found = json.loads(json.dumps(outcome.as_json()))
    assert found["ok"] is True
    assert [step["name"] for step in found["steps"]] == steps
    assert found["proof"] == PROVEN
    assert json.loads((layout.run / "last-round.json").read_text())["steps"] == outcome.steps


def test_a_step_that_fails_ends_the_round_and_keeps_what_was_done(layout, steps, monkeypatch):
    def fail():
        raise TieoutError("the database is away.", "silver is as it was.", "./scripts/tieout logs postgres")

    monkeypatch.setattr(rounds, "_load", fail)
    outcome = rounds.run_round(layout, {}, service_runs=False)
    assert steps == ["stream"]
    assert not outcome.ok
    assert [step["ok"] for step in outcome.steps] == [True, False]
    assert "the database is away" in outcome.as_json()["error"]
    assert not (layout.run / "last-round.json").exists()


def part_failed(kind=TieoutError, done=None, what="the log of refunds lacks version 3."):
    failed = {"refunds": kind(what, "silver is as it was.", "look at the log")}
    raise join(failed, ["transactions"], done)


def test_an_entity_that_fails_in_a_step_is_said_at_the_end_and_the_other_goes_through_all_steps(
    layout, steps, monkeypatch, capfd
):
    monkeypatch.setattr(rounds, "_load", lambda: part_failed(done="7 rows"))
    outcome = rounds.run_round(layout, {}, service_runs=False)
    assert steps == ["stream", "build", "proof"]
    assert [(step["ok"], step.get("failed")) for step in outcome.steps] == [
        (True, None), (False, ["refunds"]), (True, None), (True, None)
    ]  # fmt: skip
    assert "7 rows; refunds FAILED" in capfd.readouterr().err
    assert not outcome.ok
    assert outcome.as_json()["proof"] == PROVEN
    assert "refunds: the log of refunds lacks version 3." in str(outcome.error)
    assert "transactions went on" in str(outcome.error)
    assert not (layout.run / "last-round.json").exists()


def test_a_round_whose_parts_fail_in_several_steps_says_all_and_is_an_outage_only_when_all_are(
    layout, steps, monkeypatch
):
    monkeypatch.setattr(rounds, "_stream", lambda *_: part_failed(OutageError, what="the broker is away."))
    monkeypatch.setattr(rounds, "_load", lambda: part_failed(OutageError, what="the store is away."))
    error = rounds.run_round(layout, {}, service_runs=False).error
    assert type(error) is OutageError
    assert error.what.splitlines() == [
        "stream: refunds: the broker is away.",
        "load: refunds: the store is away.",
    ]
    monkeypatch.setattr(rounds, "_load", part_failed)
    assert type(rounds.run_round(layout, {}, service_runs=False).error) is TieoutError


@pytest.mark.parametrize(("kind", "proven"), [(TieoutError, True), (OutageError, False)])
def test_a_build_that_failed_at_its_data_is_proven_all_the_same_and_one_without_a_database_is_not(
    layout, steps, monkeypatch, kind, proven
):
    def fail():
        raise kind("the build failed at fact_refunds.", "each mart is whole.", "./scripts/tieout build")

    monkeypatch.setattr(rounds, "_build", fail)
    outcome = rounds.run_round(layout, {}, service_runs=False)
    assert ("proof" in steps) is proven
    assert (outcome.proof == PROVEN) is proven
    assert not outcome.ok


def test_a_difference_is_said_also_where_another_entity_cannot_be_proven(layout, steps, monkeypatch):
    side = {"count": 1, "amount": None}
    equation = {"name": "E2", "scope": {"load_id": 7}, "currency": None, "difference": side, "verdict": "DIFFERENT"}
    proof = {"ok": False, "equations": [equation]}

    def prove(outcome):
        outcome.proof = proof
        part_failed(done="1 DIFFERENT")

    monkeypatch.setattr(rounds, "_proof", prove)
    outcome = rounds.run_round(layout, {}, service_runs=False)
    assert "books: the books do not tie out. E2 (load_id 7): 1" in str(outcome.error)
    assert "refunds: the log of refunds lacks version 3." in str(outcome.error)


def test_a_different_equation_makes_the_round_not_fine(layout, steps, monkeypatch):
    def prove(outcome):
        side = {"count": 1, "amount": "0.01"}
        scope = {"topic_id": "t", "load_id": 7}
        equation = {"name": "E2", "scope": scope, "currency": "INR", "difference": side, "verdict": "DIFFERENT"}
        outcome.proof = {"ok": False, "equations": [equation]}
        return "1 DIFFERENT"

    monkeypatch.setattr(rounds, "_proof", prove)
    outcome = rounds.run_round(layout, {}, service_runs=False)
    assert not outcome.ok
    assert "E2 (load_id 7): 1 and 0.01 INR" in str(outcome.error)
    assert "./scripts/tieout proof --full" in str(outcome.error)


def test_how_far_a_table_is_behind_counts_each_partition_and_never_negative():
    assert behind({0: 10, 1: 5, 2: 7}, {0: 4, 1: 9}) == 6 + 0 + 7


def test_a_topic_of_any_entity_that_the_lake_does_not_have_yet_is_waited_for(layout, monkeypatch):
    ends = {"transactions": {0: 4}, "refunds": {0: 1}}
    monkeypatch.setattr(catching_up, "topic_id", lambda *_: "T")
    monkeypatch.setattr(catching_up, "held_back", lambda _, topic: (ends[topic], {"refunds": 2}.get(topic, 1)))
    reached = {"transactions": {0: 4}}
    monkeypatch.setattr(catching_up, "lake_ends", lambda _, entity: reached.get(entity.name, {}))
    drained = []

    def drain():
        drained.append(1)
        reached.update(ends)

    monkeypatch.setattr(catching_up, "_drain", drain)
    assert catching_up.catch_up(layout, {}, service_runs=False) == 3
    assert drained == [1]
    assert catching_up.catch_up(layout, {}, service_runs=False) == 3
    assert drained == [1], "nothing was left"


def test_the_lake_stands_where_the_slower_of_its_two_tables_stands(layout, monkeypatch):
    lake, entity = lake_of(layout, {}), load_entity(PAYMENTS)
    ends = {lake.table(entity.bronze): {0: 10, 1: 3}, lake.table(entity.dead_letters): {0: 8, 1: 5}}
    monkeypatch.setattr("warehouse.delta_log.recorded_ends", lambda table: ends[table])
    assert catching_up.lake_ends(lake, entity) == {0: 8, 1: 3}


def test_a_topic_that_was_made_anew_is_refused_and_not_taken_for_an_old_one(layout, monkeypatch):
    monkeypatch.setattr("warehouse.delta_log.newest_record", lambda _: ("the old one", {0: 15}))
    monkeypatch.setattr(catching_up, "topic_id", lambda *_: "the new one")
    monkeypatch.setattr(catching_up, "held_back", lambda *_: ({0: 7}, 0))
    with pytest.raises(TieoutError, match="made anew: its id is the new one"):
        catching_up.catch_up(layout, {}, service_runs=True)


def test_a_stream_that_stands_still_is_an_error_with_the_number_of_events(layout, monkeypatch):
    monkeypatch.setattr(catching_up, "lake_ends", lambda *_: {0: 4})
    parts, refunds = Parts([PAYMENTS, "refunds"]), load_entity("refunds")
    catching_up._wait(
        layout, None, [(load_entity(PAYMENTS), {0: 10}), (refunds, {0: 4})], parts, patience=0.2
    )  # fmt: skip
    assert list(parts.failed) == [PAYMENTS]
    assert "6 events are not in the lake" in parts.failed[PAYMENTS].what


@pytest.fixture
def two_topics(layout, monkeypatch):
    """A lake without an event of either entity, and a broker with one of each."""
    layout.run.mkdir(parents=True)
    monkeypatch.setattr(catching_up, "topic_id", lambda *_: "T")
    monkeypatch.setattr(catching_up, "held_back", lambda *_: ({0: 1}, 0))
    reached = {}
    monkeypatch.setattr(catching_up, "lake_ends", lambda _, entity: reached.get(entity.name, {}))
    return reached


def test_an_entity_that_the_stream_does_not_serve_is_not_waited_for_and_the_other_is(layout, two_topics, monkeypatch):
    refusal = RefusalError("Topic refunds was made anew.", "the lake keeps what it has.", "--accept-topic T2")
    write_failed(layout, {"refunds": refusal})
    monkeypatch.setattr(catching_up.time, "sleep", lambda _: two_topics.update({PAYMENTS: {0: 1}}))
    with pytest.raises(RefusalError, match="refunds: Topic refunds was made anew") as caught:
        catching_up.catch_up(layout, {}, service_runs=True)
    assert caught.value.is_partial
    write_failed(layout, {})
    assert read_failed(layout) == {}


def test_a_stream_of_our_own_that_failed_for_one_entity_has_brought_the_other(layout, two_topics, monkeypatch):
    ended = TieoutError("stream --once ended with exit code 1.", "the lake is whole.", "run again")

    def drain():
        two_topics[PAYMENTS] = {0: 1}
        return ended

    monkeypatch.setattr(catching_up, "_drain", drain)
    with pytest.raises(TieoutError, match="refunds: stream --once ended with exit code 1") as caught:
        catching_up.catch_up(layout, {}, service_runs=False)
    assert caught.value.is_partial


def test_a_contract_that_cannot_be_read_leaves_the_other_entity_at_work(layout, two_topics, monkeypatch):
    kept = in_force_file("refunds", layout)
    kept.parent.mkdir(parents=True)
    kept.write_text("schema: [")
    monkeypatch.setattr("contracts.entities.find_layout", lambda: layout)
    load_entity.cache_clear()
    load_entities.cache_clear()
    try:
        two_topics[PAYMENTS] = {0: 1}
        with pytest.raises(TieoutError, match=r"refunds: .*refunds.odcs.yaml:1: it is no YAML"):
            catching_up.catch_up(layout, {}, service_runs=False)
    finally:
        load_entity.cache_clear()


def test_nobody_at_work_is_told_from_a_writer_that_holds_the_lake(layout):
    layout.data.mkdir()
    assert not catching_up.writer_is_at_work(layout)
    layout.writer_lock.touch()
    assert not catching_up.writer_is_at_work(layout)
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+'); "
        "fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        ["python3", "-c", program, layout.writer_lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    assert catching_up.writer_is_at_work(layout)
    holder.communicate("\n")
    assert not catching_up.writer_is_at_work(layout)


def test_an_interrupted_first_load_is_repeated_with_the_same_seed_and_start_and_a_done_one_never(layout, monkeypatch):
    accounts = Accounts(None, None, layout.postgres_data, layout.state / "runtime")
    platform = Platform(layout, accounts, {})
    layout.logs.mkdir(parents=True)
    calls, codes = [], iter([1, 0, 1, 0])

    def run(command, **_):
        calls.append(command[4:])
        return subprocess.CompletedProcess(command, next(codes), "", "no broker")

    monkeypatch.setattr(first_load.subprocess, "run", run)

    def load() -> None:
        plan = first_load.produce_first_load(platform)
        if plan:
            first_load.run_first_load(platform, plan)

    with pytest.raises(TieoutError, match="exit code 1: no broker"):
        load()
    with pytest.raises(TieoutError, match="did not get through the pipeline"):
        load()
    load()
    load()
    assert [call[0] for call in calls] == ["produce", "produce", "run", "run"]
    assert calls[0] == calls[1]
    assert "--seed" in calls[0]
