import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from core.errors import TieoutError
from data_generator.cli import mount

START = "2026-11-01T00:00:00Z"


@pytest.fixture
def tieout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path))
    monkeypatch.setenv("CARD_HASH_KEY", "a key")
    monkeypatch.delenv("KAFKA_PASSWORD_GATEWAY", raising=False)
    monkeypatch.setattr("data_generator.stopping.Stop.listen", lambda _: None)
    app = typer.Typer()
    mount(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def dry(tieout: Callable[..., Result], *words: str) -> dict[str, object]:
    result = tieout("produce", "--dry-run", "--json", *words)
    assert result.exit_code == 0, result.output
    summary: dict[str, object] = json.loads(result.stdout)
    return summary


def test_the_same_seed_start_and_key_are_the_same_bytes_under_another_feed_id(tieout: Callable[..., Result]) -> None:
    one, same, other = (
        dry(tieout, "--total", "500", "--faults", "0.1", "--start", START, "--seed", seed) for seed in ("1", "1", "2")
    )
    assert one["events_sha256"] == same["events_sha256"] != other["events_sha256"]
    assert one["run"] != same["run"]


def test_without_a_seed_a_run_is_a_new_one_and_an_original_replay_is_not(tieout: Callable[..., Result]) -> None:
    new = {str(dry(tieout, "--total", "100", "--start", START)["events_sha256"]) for _ in range(2)}
    same = {str(dry(tieout, "--total", "100", "--timeline", "original")["events_sha256"]) for _ in range(2)}
    assert (len(new), len(same)) == (2, 1)


@pytest.mark.parametrize("timeline", ["original", "live", "last:30d"])
def test_all_is_every_row_of_the_file_once(
    tieout: Callable[..., Result], tmp_path: Path, sound: dict[str, str], as_csv: Callable[..., str], timeline: str
) -> None:
    path = tmp_path / "cards.csv"
    path.write_text(as_csv([sound | {"trans_num": f"t{number}"} for number in range(70)]))
    summary = dry(tieout, "--kaggle", str(path), "--total", "all", "--timeline", timeline)
    assert (summary["payments"], summary["replayed"]) == (100, 70)


def test_a_file_without_rows_sends_nothing_under_original_and_is_refused_otherwise(
    tieout: Callable[..., Result], tmp_path: Path, as_csv: Callable[..., str]
) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(as_csv([]))
    assert dry(tieout, "--kaggle", str(path), "--total", "all", "--timeline", "original")["events"] == 0
    result = tieout("produce", "--dry-run", "--kaggle", str(path), "--total", "5")
    assert isinstance(result.exception, TieoutError)
    assert "holds no transactions" in str(result.exception)


def test_bad_rows_stop_before_anything_is_sent_unless_they_are_allowed(
    tieout: Callable[..., Result], damaged: list[Path]
) -> None:
    for path in damaged:
        result = tieout("produce", "--kaggle", str(path), "--total", "all", "--dry-run")
        assert isinstance(result.exception, TieoutError)
        assert f"{path.name} line 2, column trans_date_trans_time" in str(result.exception)
        assert result.exception.left == "nothing was sent."
        words = ("--kaggle", str(path), "--total", "all", "--timeline", "original", "--max-bad-rows", "100")
        assert dry(tieout, *words)["bad_rows"] == 100


@pytest.mark.parametrize(
    "words",
    [
        ["--total", "many"],
        ["--mix", "1.5"],
        ["--faults", "-1"],
        ["--timeline", "tomorrow"],
        ["--timeline", "last:30x", "--total", "5"],
        ["--timeline", "last:30d"],
        ["--start", "2026-11-01T00:00:00", "--total", "5"],
        ["--settle-within", "3"],
        ["--mix", "0", "--total", "all"],
        ["--mix", "0", "--timeline", "original"],
        ["--rate", "-1"],
        ["--dry-run"],
        ["--resend", "file", "--total", "5"],
    ],
)
def test_misuse_exits_2(tieout: Callable[..., Result], words: list[str]) -> None:
    assert tieout("produce", *words).exit_code == 2


def test_a_missing_secret_names_the_command_that_makes_it(tieout: Callable[..., Result]) -> None:
    result = tieout("produce", "--total", "1")
    assert isinstance(result.exception, TieoutError)
    assert "KAFKA_PASSWORD_GATEWAY" in result.exception.what
    assert "./scripts/setup.sh" in result.exception.next
