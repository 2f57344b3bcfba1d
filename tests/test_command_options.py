"""Every option of every command, with what clumsy hands write there: no traceback, and an exit code that is true."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from typer.testing import CliRunner

from control.cli import app, build_app
from control.testing import Handle
from core.errors import TieoutError

pytestmark = pytest.mark.services

WORDS = (
    *("", " ", "-1", "inf", "nan", "1e400", "9" * 25, "9" * 5_000, "[/x]", "\x1b[2J", "a\nb", "=1+1", "%s\\!"),
    *("x" * 5_000, "a\x00b", "\ud800", "Wäh\u200brung", "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00"),
    *("2025-01-01T00:00:00Z", "800000d", "0s", "999999999:1-999999999999999999", "0:0", "0:99999999999999999999"),
    *("/", "..", "pipe", "folder", "no/such/folder/file", "a==b"),
)
# What a command needs beside the word that is tried.
NEEDS = {
    "restate": "--as-of 2025-01-01T00:00:00Z",
    "reconcile": "statement.csv --ignore-dates",
    "build": "",
    "backfill": "",
    "stream": "--once --reason why",
    "incident": "--dag d --task t --run-id r --reason why",
    "check loads": "--run-id r",
    "dlq export": "letters.jsonl --all",
    "dlq write-off": "--reason why --name me --all",
    "dlq show": "0:1",
    "alert explain": "4f1c",
    "logs": "stream",
    "contract diff": "HEAD",
    "load": "--reason why",
    "restore": "--from file:copies",
}
# Their tests are those of the gateway; the benchmark is for developers.
OTHERS = {"produce", "dataset", "bench"}
# What takes long, or ends this process, stops here; all that is said of the words is said before.
STOPPED = (
    *("spark_streaming.job.run_stream", "spark_streaming.maintenance.run_maintenance", "live.serve.serve"),
    *("transformation.build.run_build", "transformation.docs.write_site", "transformation.whole_tests.run_whole_tests"),
    *("drill.run.play", "control.terminal.os.execve", "control.terminal.subprocess.Popen"),
    *("warehouse.proof.run_proof", "control.rounds.run_round"),
)


class StoppedError(TieoutError):
    """Stands for work that this test does not do."""


def stop(*_: Any, **__: Any) -> NoReturn:
    raise StoppedError("stopped here.", "nothing.", "nothing")


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, [*path, name])
        if not hasattr(command, "commands"):
            yield " ".join(path), command

    yield from walk(typer.main.get_command(build_app()), [])


def options() -> list[tuple[str, str | None]]:
    """Return each command with each of its options that takes a value; None is an argument without a name."""
    found = []
    for name, command in commands():
        for parameter in command.params:
            is_flag = getattr(parameter, "is_flag", False)
            if name.split()[0] not in OTHERS and not is_flag and parameter.name != "help":
                argument = parameter.param_type_name == "argument"
                found.append((name, None if argument else max(parameter.opts, key=len)))
    return found


@pytest.fixture
def runner(services: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name, value in services.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("control.drop_privileges.become_service_user", lambda *_: None)
    for name in STOPPED:
        monkeypatch.setattr(name, stop)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "statement.csv").write_text(
        "transaction_id,amount,currency,status,date\nt1,1.00,INR,SUCCESS,2025-03-01\nTOTAL,1.00,INR,1,2025-03-01\n"
    )
    return CliRunner()


def arguments(command: str, option: str | None, word: str) -> list[str]:
    needed = shlex.split(NEEDS.get(command, ""))
    if option is None:
        kept = [each for each in needed if each.startswith("--") or needed[needed.index(each) - 1].startswith("--")]
        return [*command.split(), *kept, "--", word] if word.startswith("-") else [*command.split(), *kept, word]
    if option in needed:
        place = needed.index(option)
        needed = needed[:place] + needed[place + 2 :]
    return [*command.split(), *needed, f"{option}={word}"]


def test_the_walk_finds_the_options_that_people_use() -> None:
    found = options()
    assert len(found) > 60
    assert {("restate", "--as-of"), ("reconcile", None), ("dlq show", None), ("maintain", "--patience")} <= set(found)


@pytest.mark.parametrize(("command", "option"), options(), ids=str)
def test_no_word_ends_a_command_in_a_traceback(runner: CliRunner, command: str, option: str | None) -> None:
    before = os.environ.copy()
    for word in WORDS:
        given = arguments(command, option, word)
        result = runner.invoke(app, given)
        assert isinstance(result.exception, (SystemExit, TieoutError, type(None))), (given, result.exception)
        assert result.exit_code in {0, 1, 2, 75, 78}, given
        if "\x00" in word or "\ud800" in word:
            assert result.exit_code == 2, given
        assert os.environ == before
    assert Path("pipe").is_fifo()
    assert Path("folder").is_dir()


NUMBERS = {"--limit", "--lines", "--patience", "--wait", "--try", "--skip-lines", "--lookback-days", "--rounds"}


@pytest.mark.parametrize(("command", "option"), [each for each in options() if each[1] in NUMBERS], ids=str)
def test_what_is_no_number_of_this_world_is_misuse(runner: CliRunner, command: str, option: str) -> None:
    for word in ("inf", "-inf", "nan", "1e400", "-1", "", " ", "x", "9" * 5_000):
        assert runner.invoke(app, arguments(command, option, word)).exit_code == 2, (command, option, word)


@pytest.mark.parametrize(
    "line",
    [
        *("restate --as-of 2999-01-01T00:00:00Z", "restate --as-of 9999-12-31T23:59:59Z", "restate --as-of 2025-01-01"),
        "restate --as-of 2025-01-01T00:00:00Z --vs 2999-01-01T00:00:00Z",
        *("pending --older-than 800000d", "pending --older-than 999999999999d", "pending --older-than soon"),
        *("backfill --offsets 0:99999999999999999999-1", "backfill --offsets 0:5-1", "backfill --offsets=", "backfill"),
        *("build --from 2025-02-30 --to 2025-03-01", "build --lookback-days 99999999", "build --from 2025-03-01"),
        *("sql '\\! id'", "sql ' \\! id'", "sql '\\copy x to y'", "dlq list --day 2025-02-30"),
        *("maintain --expire-proofs-after 999999999999d", "maintain --expire-audit-after 1d"),
        "check bronze --max-age 9",
        *("stream --trigger 9999999s", "stream --trigger x", "stream --accept-loss 0:1 --reason r"),
        *("stream --once --entity refunds", "stream --accept-topic T --reason r --entity cheques"),
        "reconcile statement.csv --from 2025-03-01", "reconcile statement.csv --from 0001-01-01 --to 9999-12-31",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_misuse(runner: CliRunner, line: str) -> None:
    result = runner.invoke(app, shlex.split(line))
    assert result.exit_code == 2, (result.output, result.exception)


@pytest.mark.parametrize(
    "line",
    [
        "pending --older-than 36525d --json", "pending --limit 2147483647", "dlq list --day 0001-01-01",
        "dlq list --day 9999-12-31 --letters --limit 1000000", "alert list --limit 1000000",
        "alert list --customer ' '",
        "dlq list --source '[/x]'",
    ],
)  # fmt: skip
def test_what_is_at_an_end_is_answered(runner: CliRunner, line: str) -> None:
    result = runner.invoke(app, shlex.split(line))
    assert result.exit_code == 0, (result.output, result.exception)
