"""Whose fault an error is, what a check is called, and what a customer's memory keeps of any amount."""

from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_events import READER, message

from contracts.alerts import load_alert_rules
from core.errors import OutageError
from live.alerts.judge import judge
from live.alerts.memory import Memory
from live.alerts.watch import seen
from live.drift import Check
from live.set_aside import SetAside
from live.show import Report, as_text, to_json
from live.trouble import is_about_an_event, trouble_of

RULES = load_alert_rules()
AMOUNTS = st.decimals(min_value=Decimal("0.01"), max_value=Decimal("9999999999999999.99"), places=2)


@pytest.mark.parametrize(
    ("error", "is_about"),
    [
        (TypeError("Integer exceeds 64-bit range"), True),
        (RecursionError(), True),
        (OverflowError(), True),
        (psycopg.errors.NumericValueOutOfRange(), True),
        (psycopg.errors.CheckViolation(), True),
        (psycopg.errors.UntranslatableCharacter(), True),
        (psycopg.errors.ProgramLimitExceeded(), True),
        (psycopg.OperationalError(), False),
        (psycopg.errors.DiskFull(), False),
        (psycopg.errors.UndefinedTable(), False),
        (psycopg.errors.InsufficientPrivilege(), False),
        (psycopg.InterfaceError(), False),
        (OutageError("kafka is away", "nothing", "later"), False),
        (MemoryError(), False),
        (ConnectionResetError(), False),
    ],
)
def test_an_outage_is_no_events_fault(error: Exception, is_about: bool) -> None:
    assert is_about_an_event(error) is is_about


def test_of_an_error_its_kind_is_kept_and_not_what_it_quotes() -> None:
    assert trouble_of(ValueError("Asha Iyer")) == "ValueError"
    assert trouble_of(psycopg.errors.CheckViolation("Failing row contains (Asha Iyer)")) == "CheckViolation 23514"


@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=30))
def test_a_memory_is_read_back_as_it_was_written_whatever_the_amounts_are(amounts: list[Decimal]) -> None:
    memory = Memory([0, 0])
    events = READER.read([message(f"t{offset}", offset=offset) for offset in range(len(amounts))])
    for each, amount in zip(events, amounts, strict=True):
        one = seen(each, is_first=True)
        judge(memory, replace(one, amount=amount), RULES)
        memory = Memory.from_json(memory.to_json())
    kept = [Decimal(int(mark[0])) / 10_000 for mark in memory.amounts["USD"]]
    assert kept == amounts[-RULES.remembered_amounts :]


@pytest.mark.parametrize(
    ("verdict", "changed", "said", "code"),
    [
        ("OK", {}, "OK", 0),
        ("UNCHECKED", {}, "UNCHECKED", 75),
        ("DIFFERENT", {}, "DIFFERENT", 1),
        ("OK", {"is_running": False}, "DOWN", 1),
        ("UNCHECKED", {"is_running": False}, "DOWN", 1),
        ("OK", {"trouble": "kafka does not answer"}, "DOWN", 1),
        ("OK", {"skipped": (6,)}, "SKIPPING", 1),
        ("UNCHECKED", {"skipped": (6,)}, "SKIPPING", 1),
        ("DIFFERENT", {"is_running": False, "skipped": (6,)}, "DIFFERENT", 1),
    ],
)
def test_only_equal_totals_of_a_service_that_counts_all_are_fine(
    verdict: str, changed: dict[str, object], said: str, code: int
) -> None:
    check = Check(None, {}, [], verdict, "a build is under way" if verdict == "UNCHECKED" else None)
    known: dict[str, object] = {"is_running": True, "skipped": (), "aside": SetAside()}
    report = Report(check, **(known | changed))  # type: ignore[arg-type]
    assert (report.verdict, report.exit_code) == (said, code)
    assert to_json(report)["verdict"] == said
    assert (report.why is None) == (said in ("OK", "DIFFERENT"))
    assert said in ("OK", "DIFFERENT") or str(report.why) in as_text(report)


def test_what_was_set_aside_is_said_with_the_comparison() -> None:
    report = Report(Check(None, {}, [], "OK"), True, (), SetAside(1, 2))
    assert "1 not counted, 2 counted, but not judged by the alert rules" in as_text(report)
    assert to_json(report)["set_aside"] == {"not_counted": 1, "not_judged": 2}
    assert str(SetAside()) == ""
