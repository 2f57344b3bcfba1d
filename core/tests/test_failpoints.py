"""Failpoints: off unless ordered, and the list of them is what the code has."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from core import failpoints
from core.layout import CHECKOUT

PROGRAM = "from core.failpoints import reach\nfor turn in range(1, 4): reach('load.in-copy'); print(turn, flush=True)"


def run(order: str | None, **options: bool) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({} if order is None else {failpoints.VARIABLE: order})}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60, **options)  # type: ignore[call-overload]


def test_the_list_of_failpoints_and_the_places_in_the_code_agree() -> None:
    sources = [p for p in CHECKOUT.glob("*/*/**/*.py") if "tests" not in p.parts and p.name != "failpoints.py"]
    calls = Counter(name for p in sources for name in re.findall(r'failpoints\.reach\("([^"]+)"\)', p.read_text()))
    assert sorted(calls.elements()) == sorted(failpoints.NAMES)


def test_without_an_order_or_with_one_for_another_place_nothing_happens() -> None:
    for order in (None, "", "load.after-commit", "load.in-copy:4", "@/no/such/file"):
        done = run(order)
        assert (done.returncode, done.stdout) == (0, "1\n2\n3\n"), order


def test_the_process_dies_at_the_nth_time_with_its_group_where_it_leads_one() -> None:
    for order, said in (("load.in-copy", ""), ("load.in-copy:3", "1\n2\n")):
        for session in (True, False):
            done = run(order, start_new_session=session)
            assert (done.returncode, done.stdout) == (-signal.SIGKILL, said)


def test_an_order_can_come_later_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "order").write_text("load.in-copy:2\n")
    done = run(f"@{tmp_path}/order")
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "1\n")


def test_a_process_can_be_made_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    monkeypatch.setattr(failpoints, "_passed", Counter())
    monkeypatch.setenv(failpoints.VARIABLE, f"load.in-copy {here}")
    waiting = threading.Thread(target=failpoints.reach, args=("load.in-copy",))
    waiting.start()
    deadline = time.monotonic() + 20
    while not (here.exists() and here.read_text() == str(os.getpid())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert waiting.is_alive()
    here.unlink()
    waiting.join(20)
    assert not waiting.is_alive()
    failpoints.reach("load.in-copy")
    assert not here.exists(), "it waits once"


def test_an_order_that_names_no_failpoint_is_an_error_and_not_a_drill_that_never_strikes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(failpoints.VARIABLE, "load.somewhere")
    with pytest.raises(ValueError, match=r"load\.in-copy"):
        failpoints.reach("load.in-copy")
