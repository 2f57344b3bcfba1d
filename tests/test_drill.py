"""The fault drill: it finds what differs, it leaves nothing behind, and with kills at every moment nothing differs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from contracts.entities import load_entities, load_entity
from contracts.verdict import judge
from control import throwaway
from core.errors import TieoutError
from core.lake import Lake
from core.places import LocalPlace
from drill import books, harness, large, redriving
from drill.kills import BUILD, FRONT, LOAD, Deck
from drill.proving import Report
from drill.round import Kill
from drill.run import NAMES, Result
from drill.scenarios import Kills

MINUTES = 60


def drill(*arguments: str, minutes: float = 20) -> Any:
    """Run a drill; return what it says in JSON."""
    command = [sys.executable, "-P", "-m", "control", "drill", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=minutes * MINUTES, cwd="/", check=False)
    print(done.stderr)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads(done.stdout)


# The seed whose first round has five strikes that cannot come too late: each waits for a failpoint.
FIVE = "18633"


@pytest.mark.services
@pytest.mark.timeout(20 * MINUTES)
def test_five_kills_change_nothing() -> None:
    told = drill("--rounds", "1", "--seed", FIVE)
    assert told["kills_by_target"] == {"stream": 1, "loader": 1, "database": 1, "dbt": 2}
    (only,) = told["rounds"]
    assert only["offsets_by_entity"]["transactions"] > 400
    assert only["offsets_by_entity"]["refunds"] > 20
    assert only["proof"]["OK"] > 10
    assert set(only["proof"]) <= {"OK", "UNATTESTED"}


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.timeout(90 * MINUTES)
def test_every_scenario_and_fifteen_kills_change_nothing() -> None:
    told = drill("--all", "--rounds", "10", minutes=80)
    assert told["ok"]
    assert told["kills"] >= 15, told["kills_by_target"]
    assert {"producer", "stream", "loader", "dbt"} <= told["kills_by_target"].keys()
    assert {"broker", "database"} & told["kills_by_target"].keys()
    assert {round_["scenario"] for round_ in told["rounds"]} == set(NAMES)


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.timeout(40 * MINUTES)
def test_store_executor_and_brokers_of_the_large_form_are_killed_and_nothing_changes() -> None:
    words = [word for name in large.SCENARIOS for word in ("--scenario", name)]
    told = drill(*words, minutes=35)
    assert told["kills_by_target"] == {"store": 1, "executor": 1, "broker": 2}
    assert all(round_["proof"]["OK"] > 10 for round_ in told["rounds"])


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_a_drill_that_is_interrupted_or_killed_leaves_no_process_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    tmp_path.chmod(0o755)
    command = [sys.executable, "-P", "-m", "control", "drill", "--seed", "1"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    # A shell lets what it runs in the background ignore SIGINT, and the drill of such a test would do so too.
    command = ["env", "--default-signal=INT", *command]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd="/")
    try:
        deadline = time.monotonic() + 5 * MINUTES
        while not list(tmp_path.glob("tieout-drill-*/.tieout/logs/drill/*-stream.log")):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert processes_of(tmp_path)
        running.send_signal(signal.SIGKILL if killed else signal.SIGINT)
        assert running.wait(3 * MINUTES) != 0
        if killed:
            monkeypatch.setenv("TMPDIR", str(tmp_path))
            monkeypatch.setattr(tempfile, "tempdir", None)  # it remembers the folder from before
            assert len(throwaway.sweep(harness.PREFIX)) == 1  # as the next drill begins
    finally:
        running.kill()
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def processes_of(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline()) + process.environ().get("TIEOUT_HOME", "")
        except psutil.Error:
            continue
        if str(folder) in line and process.pid != os.getpid():
            found.append(line)
    return found


def test_a_machine_that_is_too_small_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, words in (("MEMORY_NEEDED", "free memory"), ("DISK_NEEDED", "room in")):
        with monkeypatch.context() as patched:
            patched.setattr(harness, name, 2**60)
            with pytest.raises(TieoutError, match=words):
                harness.refuse_small_machine(tmp_path)
    assert list(tmp_path.iterdir()) == []


BOOKS: dict[str, list[tuple[int, int]]] = {
    "topic transactions": [(0, 0), (0, 1), (0, 2), (1, 0)],
    "raw_transactions": [(0, 0), (0, 2), (1, 0)],
    "dead_letter_queue": [(0, 1)],
    "transactions": [(0, 0)],
    "duplicates": [(0, 2)],
    "rejected_transactions": [(1, 0)],
    "dead letters of transactions": [(0, 1)],
    "topic refunds": [(0, 0), (0, 1)],
    "raw_refunds": [(0, 0)],
    "dead_letter_queue_refunds": [(0, 1)],
    "refunds": [(0, 0)],
    "duplicate_refunds": [],
    "rejected_refunds": [],
    "dead letters of refunds": [(0, 1)],
}


def differing(monkeypatch: pytest.MonkeyPatch, found: dict[str, list[tuple[int, int]]]) -> list[str]:
    def asked(_: object, query: str) -> list[tuple[int, int]]:
        if "raw.dead_letters" in query:
            (entity,) = (name for name in ("transactions", "refunds") if f"entity = '{name}'" in query)
            return found[f"dead letters of {entity}"]
        return found[query.rpartition(".")[2]]

    monkeypatch.setattr(books, "offsets_in_kafka", lambda _, topic: set(found[f"topic {topic}"]))
    monkeypatch.setattr(books, "offsets_in_lake", lambda table: found[table.name])
    monkeypatch.setattr(books, "ask", asked)
    return books.differences({}, Lake(LocalPlace(Path())))[1]


def test_books_in_which_every_offset_is_once_have_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    assert differing(monkeypatch, BOOKS) == []


@pytest.mark.parametrize(
    ("place", "offsets", "words"),
    [
        (
            "topic transactions",
            [*BOOKS["topic transactions"], (1, 1)],
            "1 offsets are in Kafka and not in the lake: 1:1",
        ),
        ("topic transactions", BOOKS["topic transactions"][:3], "1 offsets are in the lake and not in Kafka: 1:0"),
        ("dead_letter_queue", [(0, 1), (0, 2)], "1 offsets are more than once in the lake: 0:2"),
        ("raw_transactions", [*BOOKS["raw_transactions"], (0, 2)], "1 offsets are more than once in the lake: 0:2"),
        ("duplicates", [], "1 offsets are in bronze and not in silver: 0:2"),
        ("transactions", [(0, 0), (0, 1)], "1 offsets are in silver and not in bronze: 0:1"),
        ("transactions", [(0, 0), (0, 2)], "1 offsets are more than once in silver: 0:2"),
        ("dead letters of transactions", [], "or the other way round: 0:1"),
        ("refunds", [], "refunds: 1 offsets are in bronze and not in silver: 0:0"),
        ("dead letters of refunds", [], "or the other way round: 0:1"),
    ],
)
def test_one_offset_that_is_lost_or_doubled_is_named(
    monkeypatch: pytest.MonkeyPatch, place: str, offsets: list[tuple[int, int]], words: str
) -> None:
    assert any(words in line for line in differing(monkeypatch, {**BOOKS, place: offsets}))


def test_a_mended_letter_is_an_event_of_its_own_entity_under_a_key_of_its_own() -> None:
    lines = [json.dumps({"letter": f"0:{n}", "entity": entity.name, "payload_text": "{"})
             for entity in load_entities() for n in range(2)]  # fmt: skip
    mended = list(redriving._mended(lines, Random(7)))
    keys = set()
    for before, line in zip(lines, mended, strict=True):
        held = json.loads(line)
        entity = load_entity(held["entity"])
        assert {name: held[name] for name in ("letter", "entity")} == {
            name: json.loads(before)[name] for name in ("letter", "entity")
        }
        verdict = judge(line.partition('"payload": ')[2].rstrip()[:-1].encode(), entity)
        assert (verdict.reasons, set(held)) == (frozenset(), {"letter", "entity", "payload"})
        assert held["payload"][entity.statuses.field] in entity.statuses.final
        keys.add(held["payload"][entity.key])
    assert len(keys) == len(lines)


def test_a_drill_is_only_well_when_rounds_were_played_and_nothing_differs() -> None:
    told = Report("kills", 1, [Kill("stream", "at stream.after-dead-letters")], verdicts={"OK": 9})
    told.offsets = {"transactions": 1_038, "refunds": 2}
    result = Result(7, "./scripts/tieout drill --seed 7")
    assert not result.ok
    result.rounds.append(told)
    assert result.ok
    assert result.as_json()["kills_by_target"] == {"stream": 1}
    assert result.as_json()["offsets_by_entity"] == {"transactions": 1_038, "refunds": 2}
    assert told.as_json()["offsets"] == 1_040
    assert "1,038 offsets of transactions and 2 offsets of refunds: every offset once" in str(result)
    assert "stream at stream.after-dead-letters" in str(told)
    told.differences.append("E2 (load_id 4) INR DIFFERENT")
    assert not result.ok
    assert "E2 (load_id 4) INR DIFFERENT" in str(result)
    assert "the same again: ./scripts/tieout drill --seed 7" in str(result)


def test_every_strike_comes_before_any_comes_again() -> None:
    for strikes in (FRONT, LOAD, BUILD):
        deck = Deck(strikes, Random(3))
        assert Counter(deck.draw() for _ in range(3 * len(strikes))) == dict.fromkeys(strikes, 3)


def test_a_seed_plans_the_same_strikes_and_the_suites_own_seed_has_those_that_cannot_come_too_late() -> None:
    first, second = Kills(Random(5)), Kills(Random(5))
    assert [first.plan() for _ in range(40)] == [second.plan() for _ in range(40)]
    front, load, build = ({strike.__name__ for strike in strikes} for strikes in Kills(Random(int(FIVE))).plan())
    assert front == {"stream_after_dead_letters"}
    assert load == {"loader_before_commit", "database_in_copy"}
    assert build == {"build_between_models", "dbt_between_models"}
