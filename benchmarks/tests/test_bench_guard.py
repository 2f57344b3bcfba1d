"""The regression guard and the report."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import play
from bench.frame import BenchError, Books, Figure, Goal, Hop, NotRun, Outcome
from bench.guard import compared, fallen, keep_baseline, ratios_of, read_baseline
from bench.hops import NAMES
from bench.report import as_json, table, write
from control.cli import build_app

HOP = Hop("produce", "events a second", lambda _wish: Outcome())
FIGURE = Figure("gateway", "ours", 2.0, 0.1, 50.0, Books(100), (2.0,), ({"peak_mib": 80},))


def report(rate: float, seconds: float = 1.0) -> dict[str, Any]:
    goals = [Goal("ours / limit", rate, 0.6), Goal("large / small", seconds, 1.2, at_least=False)]
    goals += [Goal("memory", 200.0, 300, at_least=False, unit="MiB"), Goal("ours / peer", None, 2)]
    outcome = Outcome([FIGURE], goals, [NotRun("dlt", "no network")], ["a note"])
    hops = {"produce": as_json(outcome, HOP)}
    return {"at": "2026-11-21T10:00:00+00:00", "size": "quick", "machine": {"cores": 2}, "hops": hops}


def test_only_measured_ratios_are_in_the_baseline() -> None:
    assert ratios_of(report(0.9)) == {
        "produce": {
            "ours / limit": {"value": 0.9, "at_least": True},
            "large / small": {"value": 1.0, "at_least": False},
        }
    }


@pytest.mark.parametrize(("rate", "seconds", "lines"), [(0.81, 1.24, 0), (0.79, 1.0, 1), (1.0, 1.26, 1), (5.0, 0.1, 0)])
def test_a_ratio_fell_when_it_is_worse_by_more_than_a_fifth(rate: float, seconds: float, lines: int) -> None:
    found = fallen(report(rate, seconds), ratios_of(report(1.0)))
    assert len(found) == lines


def test_a_ratio_that_the_baseline_lacks_is_not_compared() -> None:
    assert fallen(report(0.1), {}) == []
    assert compared(report(0.1), {}) == (0, [])
    assert compared(report(0.1), ratios_of(report(1.0))) == (2, [])


def test_a_ratio_that_the_report_lacks_is_named() -> None:
    without = report(1.0)
    del without["hops"]["produce"]["goals"][0]
    assert compared(without, ratios_of(report(1.0))) == (1, ["produce: ours / limit"])


def test_the_table_says_what_was_reached_missed_and_not_run() -> None:
    said = table(report(0.5))
    assert "missed" in said
    assert "reached" in said
    assert "not measured" in said
    assert "not run: dlt: no network" in said


def test_the_report_is_written_as_json(tmp_path: Path) -> None:
    path = write(report(0.5), tmp_path / "deep" / "report.json")
    assert json.loads(path.read_text())["hops"]["produce"]["goals"][0]["verdict"] == "missed"


def test_a_baseline_is_kept_for_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert read_baseline("quick", path) == {}
    keep_baseline(report(0.5) | {"size": "full"}, path)
    keep_baseline(report(1.0), path)
    assert fallen(report(0.7), read_baseline("quick", path)) != []
    assert read_baseline("full", path) == ratios_of(report(0.5))


def test_a_hop_or_a_peer_that_was_not_measured_keeps_its_baseline(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    first, failed, without = report(1.0), report(1.0), report(0.9)
    keep_baseline(first, path)
    failed["hops"]["produce"]["goals"] = []
    keep_baseline(failed | {"at": "2026-11-22T10:00:00+00:00"}, path)
    assert read_baseline("quick", path) == ratios_of(first)
    assert "2026-11-21" in path.read_text()
    assert "2026-11-22" not in path.read_text()
    del without["hops"]["produce"]["goals"][1]
    keep_baseline(without, path)
    kept = read_baseline("quick", path)["produce"]
    assert (kept["ours / limit"]["value"], kept["large / small"]["value"]) == (0.9, 1.0)


@pytest.mark.parametrize(("size", "far"), [("full", 10), ("quick", 5)])
def test_how_far_a_side_is_behind_is_not_guarded(size: str, far: int) -> None:
    baseline = ratios_of(report(190.0))
    assert fallen(report(0.81 * far) | {"size": size}, baseline) == []
    assert fallen(report(0.79 * far) | {"size": size}, baseline) != []


def test_check_exits_1_when_a_ratio_fell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "play", lambda _names, _size, _keep: report(0.5))
    monkeypatch.setattr("bench.guard.read_baseline", lambda _size: ratios_of(report(1.0)))
    words = ["bench", "--hop", "produce", "--check", "--out", str(tmp_path / "r.json")]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 1
    assert "fell by more than 20%" in result.output
    monkeypatch.setattr("bench.guard.read_baseline", lambda _size: ratios_of(report(0.6)))
    assert CliRunner().invoke(build_app(), words).exit_code == 0


def test_each_hop_is_kept_when_it_is_measured_and_one_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_wish: object) -> Outcome:
        raise BenchError("no room", "nothing was measured.", "make room")

    hops = {"produce": HOP, "silver": Hop("silver", "rows a second", fail)}
    monkeypatch.setattr(play, "find_hop", hops.__getitem__)
    monkeypatch.setattr(play.ground, "sweep", list)
    monkeypatch.setattr(play.ground, "end_on_signal", lambda: None)
    monkeypatch.setattr(play.ground, "forget_settings", lambda: None)
    kept: list[list[str]] = []
    found = play.play(list(hops), "tiny", lambda so_far: kept.append(list(so_far["hops"])), lambda _line: None)
    assert kept == [["produce"], ["produce", "silver"]]
    assert "no room" in found["hops"]["silver"]["failed"]
    assert "failed" not in found["hops"]["produce"]


def test_an_unknown_hop_is_misuse() -> None:
    result = CliRunner().invoke(build_app(), ["bench", "--hop", "kafka"])
    assert result.exit_code == 2


def test_the_hops_are_named_in_the_help() -> None:
    text = CliRunner().invoke(build_app(), ["bench", "--help"], terminal_width=200).output
    said = text.partition("NAME")[2].partition("may come more than once")[0]
    assert [name for name in NAMES if name not in said] == []
