"""X and Y as people start them, over the sample and over kills, against a recount of the file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest
from recount import Detections, Recount, read, weights_of

from control.store import Store, running_store
from control.testing import Handle
from core.bucket import Bucket
from core.layout import CHECKOUT
from drill.books import ask

pytestmark = pytest.mark.services

TIEOUT = Path(sys.executable).with_name("tieout")
SAMPLE = CHECKOUT / "data" / "samples" / "banksim"
PAYMENTS, WEIGHTS = SAMPLE / "transactions.csv.gz", SAMPLE / "CustomerImportance.csv.gz"
DEFAULTS = {
    "share": "0.01",
    "merchant_above": 50_000,
    "at_least": 80,
    "below": "23",
    "females_above": 100,
    "percentile": "percent_rank",
}


def recount(size: int, weights: dict[Any, Fraction], **changed: Any) -> Recount:
    found, part, chunk = Recount(weights, DEFAULTS | changed), [], 0
    for row in read(PAYMENTS):
        part.append(row)
        if len(part) == size:
            chunk += 1
            found.take(chunk, part)
            part = []
    if part:
        found.take(chunk + 1, part)
    return found


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(TIEOUT), *words]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=500, cwd="/"
    )


def detections(env: dict[str, str], name: str) -> Detections:
    rows = ask(
        env,
        "select pattern, merchant, customer, chunk from patterns.detections join patterns.watches using (watch_id) "
        f"where watches.name = '{name}'",
    )
    return {(pattern, merchant, customer): chunk for pattern, merchant, customer, chunk in rows}


def test_the_demo_finds_what_a_recount_finds_and_shows_it(services: Handle) -> None:
    rules = CHECKOUT / "patterns" / "patterns" / "rules.yaml"
    changed = Path(services.home) / "rules.yaml"
    changed.write_text(
        rules.read_text()
        .replace("share: 0.01", "share: 0.10")
        .replace("above: 100", "above: 30")
        .replace("at_least: 80", "at_least: 60")
    )
    done = run(services.env, "patterns", "demo", "--every", "0s", "--rules", str(changed), "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert (shown["chunks_made"], shown["chunks_processed"], shown["rows"]) == (12, 12, 114_293)
    assert (shown["x_runs"], shown["y_runs"], shown["findings"]) == (False, False, [])
    assert shown["delay_p50"] > 0
    assert shown["late"] == 0
    (name,) = ask(services.env, "select name from patterns.watches where name like 'demo-%'")[0]
    expected = recount(10_000, weights_of(read(WEIGHTS), "pair"), share="0.10", females_above=30, at_least=60)
    found = detections(services.env, name)
    assert found == expected.first
    assert {pattern for pattern, _, _ in found} == {"PatId1", "PatId2", "PatId3"}
    assert shown["detections"] == dict(Counter(pattern for pattern, _, _ in found))
    assert shown["no_longer_true"] == len(expected.first.keys() - expected.true_now)
    files = sorted((services.home / "data" / name / "detections").iterdir())
    contents = [json.loads(each.read_text()) for each in files]
    assert sorted(map(len, contents), reverse=True)[:-1] == [50] * (len(found) // 50)
    written = Counter(
        (each["patternId"], each["MerchantId"], each["customerName"]) for part in contents for each in part
    )
    assert written == Counter(found.keys())
    assert len({each["YStartTime"] for part in contents for each in part}) == 1
    listed = json.loads(run(services.env, "patterns", "list", "--watch", name, "--pattern", "PatId1", "--json").stdout)
    assert len(listed) == min(20, shown["detections"]["PatId1"])
    for each in listed[:2]:
        again = run(services.env, "patterns", "explain", each["detection_id"], "--json")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["verdict"] == "EQUAL"
    stats = ask(
        services.env,
        "select count(*), sum(transactions), sum(amount) from patterns.customer_stats "
        f"where watch = '{name}' union all select count(distinct customer), count(*), sum(amount) "
        f"from patterns.processed_transactions where watch = '{name}'",
    )
    total = sum((Fraction(row["amount"]) for row in read(PAYMENTS)), Fraction(0))
    assert [(each[1], Fraction(each[2])) for each in stats] == [(114_293, total)] * 2
    assert stats[1][0] == 794


class Under:
    """X or Y under somebody who kills it: started again by the same words until it ends well."""

    def __init__(self, env: dict[str, str], *words: str) -> None:
        self._env, self._words, self.kills = env, words, 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        command = [str(TIEOUT), *self._words]
        log = Path(self._env["TIEOUT_HOME"]) / f"{self._words[0]}.log"
        with log.open("a") as file:
            return subprocess.Popen(
                command, env={**os.environ, **self._env}, stdout=file, stderr=file, text=True, cwd="/"
            )

    def kill(self, java: bool = False) -> None:
        """Kill -9 the process, or only its Java; then start it again."""
        victims = [psutil.Process(self.process.pid)]
        if java:
            victims = [each for each in victims[0].children(recursive=True) if "java" in each.name()]
        for each in victims:
            each.send_signal(signal.SIGKILL)
        self.kills += len(victims)
        assert self.process.wait(120) != 0
        self.process = self._start()

    def __enter__(self) -> "Under":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def until(is_so: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it does not go on"
        time.sleep(0.1)


def _kill_store(server: Any, servers: Iterator[Any]) -> Any:
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    return next(servers)


@pytest.mark.slow
def test_eight_kills_of_x_y_java_and_store_change_nothing(services: Handle, own_store: Store) -> None:
    env = {**services.env, **own_store.settings, "TIEOUT_HOME": str(services.home)}
    place = Bucket("lake", "", own_store.endpoint, "us-east-1", own_store.access_key, own_store.secret_key)
    cut = ("chunks", str(PAYMENTS), "--rows", "1000", "--to", "s3://lake/k/input_chunks")
    look = (
        *("patterns", "--from", "s3://lake/k/input_chunks", "--to", "s3://lake/k/detections"),
        *("--weights", str(WEIGHTS), "--name", "killed"),
    )

    def applied() -> int:
        query = (
            "select count(*) from patterns.chunks join patterns.watches using (watch_id) where watches.name = 'killed'"
        )
        return int(ask(services.env, query)[0][0])

    def past(count: int) -> Callable[[], bool]:
        return lambda: applied() > count

    def stored() -> Iterator[Any]:
        while True:
            with running_store(own_store) as server:
                yield server

    with closing(stored()) as servers:
        server = next(servers)
        with Under(env, *cut) as x, Under(env, *look) as y:
            until(past(1))
            x.kill()
            y.kill()
            until(past(3))
            server = _kill_store(server, servers)
            x.kill()
            until(past(6))
            y.kill(java=True)
            until(past(12))
            x.kill()
            y.kill()
            until(past(24))
            y.kill(java=True)
            until(past(30))
            server = _kill_store(server, servers)
            assert (x.process.wait(300), y.process.wait(300)) == (0, 0)
            assert (x.kills, y.kills) == (3, 4)
            names = place.names("k/input_chunks")
            assert [int(each.split("_")[4]) for each in names] == list(range(1, 116)), (
                "no gap, no second chunk of a number"
            )
            assert detections(services.env, "killed") == recount(1_000, weights_of(read(WEIGHTS), "pair")).first
            rows = ask(
                services.env,
                'select count(*), count(distinct "row"), sum(amount) from patterns.payments join patterns.watches '
                "using (watch_id) where watches.name = 'killed'",
            )
            assert rows[0][:2] == (114_293, 114_293)
            files = [json.loads(place.read(f"k/detections/{name}")) for name in place.names("k/detections")]
            assert Counter(map(len, files))[50] == len(files) - 1
            assert sum(map(len, files)) == len(detections(services.env, "killed"))
