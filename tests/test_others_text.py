"""Text that others wrote, through everything that prints it: it is there whole, and the terminal obeys none of it."""

import csv
import io
import unicodedata
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from control.cli import app, main
from control.doctor import Finding
from control.doctor import as_text as findings_as_text
from control.progress import say
from control.rounds import _difference
from core.csv_text import unguarded
from core.errors import TieoutError
from core.text import shown
from dashboard.blocks import said
from dashboard.charts import table
from data_generator.events import Line as SentLine
from data_generator.statement import write_statement
from data_generator.statement_book import StatementBook
from live.alerts.explain import Explanation
from live.alerts.listing import as_text as alert_as_text
from live.alerts.listing import list_as_text
from live.drift import Check, Line
from live.set_aside import SetAside
from live.show import Report
from live.show import as_text as check_as_text
from warehouse.dlq.display import show_letter, show_list, show_outcome
from warehouse.proof import show_proof
from warehouse.reconcile import show_reconciliation
from warehouse.reconcile.dialect import Dialect
from warehouse.reconcile.statement_file import StatementFile
from warehouse.restate import show_pending, show_restatement
from warehouse.restate.cli import _print_csv
from warehouse.restate.states import MEASURES

PIECES = (
    *("[", "[/", "]", "[red]", "[/in/20250301.csv]", "[link=x]", ":bomb:", "\\", "\\[", "{", "%s", "'", '"', ","),
    *("\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\x00", "\r", "\n", "\t", "\x7f", "\x85", "\u2028"),
    *("\u200b", "\ufeff", "\u202e", "\u2066", "\u00ad", "\u3164", "a\u0308", " ", "  ", "\ud800"),
    *("=1+1", "+x", "-x", "@x", "=cmd|' /C calc'!A0", "\uff1d1", "CX1600", "Währung", "東京"),
)
TEXT = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join) | st.text(min_size=1, max_size=40)
AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
FIGURES = {name: 1 if name.endswith("_count") else "2.50" for name in MEASURES}


def equation(text: str) -> dict[str, Any]:
    side = {"count": 1, "amount": "1.00"}
    scope = {"feed": text, "offsets": [1, 20000], "final": True}
    rest = {"left": side, "right": side, "difference": side, "verdict": "DIFFERENT"}
    return {"name": "E0", "scope": scope, "currency": "INR", **rest}


def proof(text: str) -> None:
    explained = [{"name": "E3", "scope": {"status": text}, "items": [{"transaction_id": text}]}]
    show_proof({"equations": [equation(text)], "explained": explained})


def reconciliation(text: str) -> None:
    amounts = {"their_count": 1, "their_amount": "1.00", "our_count": 0, "our_amount": "0"}
    row = {"line": 1, "transaction_id": text, "kind": "MISSING_WITH_US", "their_date": "2026-03-01"}
    row |= {
        "their_amount": "1.00",
        "their_currency": "INR",
        "their_status": "SUCCESS",
        "redrive_of": None,
        "reasons": [text],
    }
    row |= dict.fromkeys(("our_date", "our_amount", "our_status", "gold_amount", "gold_status"))
    show_reconciliation({
        "ok": False, "file": text, "lines": 1, "period": {"from": "2026-03-01", "to": "2026-03-01", "days": 1},
        "totals": [{"currency": "INR", "kind": "MISSING_WITH_US", **amounts}], "differences": [row],
        "difference_count": 1, "differences_file": text, "footer": {"verdict": "NONE", "checks": []},
        "waiting_for_build": 0, "seconds": 0.1, "left_out": 2, "unsure_amounts": {"count": 1, "first": text},
        "names_zones": True, "zone": None,
    })  # fmt: skip


def restatement(text: str) -> None:
    moment = {"at": None, "build_id": "b", "build_finished_at": AT.isoformat(), "failed_builds_behind_it": 0}
    row = {"occurred_on": "2026-03-01", "currency": text, "merchant_category": text, "restated": True}
    cause = {"transaction_id": text, "occurred_on": "2026-03-01", "amount": "1.00", "currency": "INR", "was": None}
    cause |= {"is": "SUCCESS", "status_at": AT.isoformat(), "known_at": AT.isoformat(), "load_id": 1}
    rows = [row | {"then": FIGURES, "now": FIGURES, "difference": FIGURES}]
    rows += [{**rows[0], "restated": False}]
    counts = {"settled": 1, "new": 0}
    show_restatement({
        "as_of": moment, "vs": moment, "rows": rows, "transaction_counts": counts, "transactions": [cause],
        "definitions_changed": False,
    })  # fmt: skip


def pending(text: str) -> None:
    row = {"transaction_id": text, "pending_since": AT.isoformat(), "age_seconds": 5, "amount": "1.00"}
    row |= {"currency": "INR", "payment_method": text, "merchant_category": text}
    totals = [{"currency": text, "count": 1, "amount": "1.00", "oldest": AT.isoformat()}]
    show_pending({"count": 1, "older_than": "3d", "as_of": AT.isoformat(), "totals": totals, "transactions": [row]})


def letter(text: str) -> dict[str, Any]:
    return {
        "letter": "0:1", "book": "dead_letters", "entity": "refunds", "topic_id": text, "source": text,
        "seq": 1, "reasons": [text],
        "arrived_at": AT.isoformat(), "age_seconds": 5, "currency": text, "amount": "1.00", "value_bytes": 7,
        "state": "OPEN", "is_unconfirmed": False, "redriven": None, "redrive_of": None, "successor": None, "load_id": 1,
        "conflict": None,
    }  # fmt: skip


def conflict(text: str) -> dict[str, Any]:
    standing = {"partition": 0, "offset": 1, "book": "transactions", "run": text, "seq": 1, "load_id": 1}
    return {"standing": standing, "differs": [{"field": "city", "standing": text, "rejected": None}]}


def letters(text: str) -> None:
    clash = letter(text) | {"conflict": conflict(text)}
    show_list({"letters": [clash], "by": ["reason"], "book": "rejected_transactions", "states": {"OPEN": 1}})
    show_list({"letters": [letter(text)], "by": ["reason"], "book": "dead_letters", "states": {"OPEN": 1}})


def groups(text: str) -> None:
    group = {
        "entity": "refunds",
        "reasons": [text],
        "day": "2026-03-01",
        "source": text,
        "state": "OPEN",
        "count": 1,
        "age_seconds": 5,
    }
    group |= {"amounts": {text: {"count": 1, "amount": "1.00"}}}
    by = ["reason", "day", "source", "state"]
    show_list({"groups": [group], "by": by, "book": "dead_letters", "states": {"OPEN": 1}})


def one_letter(text: str) -> None:
    field = {"name": text, "value": text}
    content = {"bytes": 7, "sha256": "00", "key": text, "fields": [field], "raw": text}
    chain = [letter(text), letter(text)]
    show_letter(
        {**letter(text), "conflict": conflict(text), "meanings": {text: "a rule"}, "content": content, "chain": chain}
    )


def outcomes(text: str) -> None:
    money = {text: {"count": 1, "amount": "1.00"}}
    show_outcome({"letters": 1, "file": text, "book": "dead_letters", "rejected": False})
    written_off = {"entity": "refunds", "letters": 1, "amounts": money}
    show_outcome({"letters": 1, "name": text, "dry_run": False, "entities": [written_off]})
    expected = {"well_formed": 1, "malformed": {text: 1}}
    show_outcome({
        "letters": 1, "amounts": money, "dry_run": False, "expected": expected, "finished": 0, "run": text,
        "unchanged": 1,
    })  # fmt: skip


ALERT = {"alert_id": "a" * 64, "amount": Decimal(1), "arrived_at": AT, "occurred_at": AT, "partition": 0, "offset": 1}


def alerts(text: str) -> None:
    names = ("rule_code", "currency", "merchant_category", "customer_id", "transaction_id", "rule_version")
    evidence = {"values": {text: text}, "threshold": {text: text}, "earlier_events": [[0, 1]]}
    alert = ALERT | dict.fromkeys(names, text) | {"evidence": evidence}
    print(list_as_text([{**alert, "amount": "1"}]))
    print(alert_as_text(Explanation(alert, "DIFFERENT", {"values": text}, 1, "a meaning")))


def live_check(text: str) -> None:
    line = Line(currency=text, status=text, live_count=1, live_amount=Decimal(1), gold_count=0, gold_amount=Decimal(0))
    report = Report(Check(UUID(int=0), {}, [line], "DIFFERENT"), True, (), SetAside(1, 1))
    print(check_as_text(report))
    print(check_as_text(replace(report, trouble=text)))
    print(check_as_text(replace(report, check=replace(report.check, verdict="UNCHECKED", why=text))))


def round_that_failed(text: str) -> None:
    say(str(_difference({"equations": [equation(text)]})))


def findings(text: str) -> None:
    print(findings_as_text([Finding("ports", False, text, "./scripts/start.sh")]))


PRINTERS = (
    *(proof, reconciliation, restatement, pending, letters, groups, one_letter, outcomes),
    *(alerts, live_check, round_that_failed, findings),
)


@pytest.mark.parametrize("printer", PRINTERS, ids=lambda each: each.__name__)
@given(text=TEXT)
def test_every_printer_shows_the_text_whole_and_sends_the_terminal_no_order(
    printer: Callable[[str], None], text: str
) -> None:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        printer(text)
    printed = out.getvalue()
    assert all(char.isprintable() or char == "\n" for char in printed), printed
    assert any(shown(text) in line for line in printed.splitlines()), (shown(text), printed)


@given(text=TEXT)
def test_an_error_and_progress_send_the_terminal_no_order(text: str) -> None:
    out = io.StringIO()
    with redirect_stderr(out), pytest.MonkeyPatch.context() as patch:

        def fail() -> None:
            raise TieoutError(f"feed {text} is not there.", "nothing.", "x")

        patch.setattr("control.cli.build_app", lambda: fail)
        with pytest.raises(SystemExit, match="1"):
            main()
        say(text)
    assert all(char.isprintable() or char in "\n\t" for char in out.getvalue())


@given(text=TEXT)
def test_no_misuse_of_a_command_sends_the_terminal_an_order(text: str) -> None:
    result = CliRunner().invoke(app, ["status", text])
    assert result.exit_code == 2
    assert all(unicodedata.category(char) != "Cc" or char == "\n" for char in result.output)


def not_a_formula(cell: str) -> bool:
    number = cell[1:].replace(".", "", 1).isdigit() and cell[1:].isascii()
    return not cell.startswith(("=", "@", "\t", "\r", "\uff1d")) and (not cell.startswith(("+", "-")) or number)


@given(text=TEXT.filter(lambda text: "\ud800" not in text))
def test_no_figure_of_a_restatement_is_a_formula_in_a_spreadsheet(text: str) -> None:
    out = io.StringIO(newline="")
    row = {"occurred_on": "2026-03-01", "currency": text, "merchant_category": text, "restated": True}
    with redirect_stdout(out):
        _print_csv([row | dict.fromkeys(("then", "now", "difference"), FIGURES)])
    header, cells = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert len(header) == len(cells)
    assert all(map(not_a_formula, cells))
    assert unguarded(cells[1]) == text == unguarded(cells[2])


@given(text=TEXT)
def test_a_table_and_a_chart_of_the_dashboard_show_the_text_and_no_formula(text: str) -> None:
    row = {"merchant": text, "amount": "1.50", "currency": "INR", "day": date(2026, 3, 1), "scope": f"feed {text}"}
    for cell in (said(row, "merchant"), table([row], ["amount"], {})["merchant"][0]):
        assert cell.isprintable()
        assert not_a_formula(cell)
        assert unguarded(cell) == shown(text) or cell == "-" == text
    assert said(row, "amount") == "1.50"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(TEXT.filter(lambda text: not set("\ud800\0\r") & set(text)), min_size=1, max_size=5))
def test_the_gateways_statement_is_a_machines_file_and_its_ids_are_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, names: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("batch_files")
    book = StatementBook(folder)
    book.put([SentLine("2026-03-01", name, 150, "INR", "SUCCESS") for name in names])
    path = write_statement(book, "2026-03-01", folder, {"INR": 2})
    book.close()
    lines = list(StatementFile(path, Dialect(), {"INR": 2}).lines())
    assert {line.transaction_id for line in lines} == names
    assert {line.amount for line in lines} == {"1.50"}
