"""What a command does when nobody can take its output."""

import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-P", "-m", "control"]


@pytest.mark.parametrize("words", [["contract", "check"], ["--help"]])
def test_a_full_disk_behind_the_output_is_said_without_a_traceback(words):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["load", "--accept-table", "", "--reason", "x"],
        ["stream", "--once", "--accept-topic", " ", "--reason", "x"],
        ["contract", "diff", ""],
        ["check", "bronze", "--max-age", ""],
        ["dlq", "list", "--state", "zz"],
        ["dlq", "list", "--by", "zz"],
        ["dlq", "list", "--reason", "NOPE"],
        ["dlq", "redrive", "--offsets", "x"],
    ],
)
def test_an_empty_or_unknown_word_is_misuse(words):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
