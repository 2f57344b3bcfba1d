"""Odd rows of a card file on their way: refused by place, or sent, rejected and named on the gateway's statement."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from own_database import OwnDatabase
from small_stream import SmallStream

from control.testing import Handle
from core.layout import CHECKOUT, Layout
from warehouse.reconcile import reconcile, show_reconciliation
from warehouse.reconcile.dialect import Dialect

pytestmark = pytest.mark.services

SOUND = {
    "trans_date_trans_time": "",
    "cc_num": "4000000000000002",
    "merchant": "fraud_Acme",
    "category": "misc_net",
    "amt": "4.97",
    "first": "Ann",
    "last": "Example",
    "city": "Pune",
    "state": "IL",
    "trans_num": "",
    "is_fraud": "0",
}
RULES, TWICE, AGAIN, ODD, FAR = "2017-03-01", "2017-04-01", "2017-04-02", "2017-05-01", "9998-12-31"


def card(day: str, number: str, **changes: str) -> dict[str, str]:
    return SOUND | {"trans_date_trans_time": f"{day} 10:00:18", "trans_num": number} | changes


REJECTED = {
    "72" * 16: ({"amt": "0.00"}, "AMOUNT_NOT_POSITIVE"),
    "73" * 16: ({"amt": "-25.00"}, "AMOUNT_NOT_POSITIVE"),
    "7" * 65: ({"amt": "5.00"}, "TRANSACTION_ID_TOO_LONG"),
    "75" * 16: ({"merchant": "fraud_"}, "MERCHANT_NAME_MISSING"),
    "76" * 16: ({"first": "A" * 101, "last": "B" * 101}, "CUSTOMER_NAME_TOO_LONG"),
    "78" * 16: ({"merchant": "fraud_\u200b", "amt": "-1.00"}, "AMOUNT_NOT_POSITIVE, MERCHANT_NAME_MISSING"),
}
FUTURE = "79" * 16
SIGNS = ("a,b", 'a"b', "a|b", "a;b", "a\\b", "[/x]", "é", "a b", "'a")


@pytest.fixture
def produce(services: Handle, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Write a card file and let the gateway send it under its own ids and times."""

    def run(rows: Sequence[Mapping[str, str]], *options: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "cards.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, SOUND, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        words = ["--kaggle", str(path), "--mix", "1", "--total", "all", "--timeline", "original", "--json", *options]
        env = {**os.environ, **services.env, "TIEOUT_HOME": str(tmp_path)}
        command = [sys.executable, str(CHECKOUT / "data-generator" / "producer.py"), *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def books(
    services: Handle, layout: Layout, database: OwnDatabase, load: Any, produce: Any, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Send files of rows, load them, and reconcile the gateway's own statement of a day."""
    stream = SmallStream(services.env, layout)

    def run(day: str, *files: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        for rows in files:
            done = produce(rows)
            assert done.returncode == 0, done.stderr
            summary = json.loads(done.stdout)
            assert (summary["closed"], summary["acknowledged"]) == (True, summary["events"])
        if files:
            assert stream.drain() > 0
            load()
        statement = layout.batch_files / f"gateway-{day}.csv"
        period = (date.fromisoformat(day), date.fromisoformat(day))
        return reconcile(statement, Dialect(), days=period, settings=database, layout=layout, out=tmp_path / "d.csv")

    return run


def test_what_cannot_be_sent_is_named_by_line_and_column_and_nothing_is_sent(
    services: Handle, layout: Layout, produce: Any
) -> None:
    stream = SmallStream(services.env, layout)
    rows = [
        card(RULES, "91" * 16),
        card(RULES, "92" * 16, first="An\0n"),
        card("9999-12-31", "93" * 16),
        card(RULES, "TOTAL"),
        card(RULES, "94" * 16 + " "),
    ]
    refused = produce(rows)
    assert refused.returncode == 1
    for place in ("line 3, column first", "line 4, column trans_date", "line 5, column trans_num", "line 6, column t"):
        assert f"cards.csv {place}" in refused.stderr
    assert "--max-bad-rows 4 skips them" in refused.stderr
    assert stream.drain() == 0
    skipped = json.loads(produce(rows, "--max-bad-rows", "4").stdout)
    assert (skipped["ok"], skipped["payments"], skipped["bad_rows"]) == (True, 1, 4)


def test_what_breaks_a_rule_is_rejected_and_is_a_line_of_its_own_kind(
    books: Any, query: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [card(RULES, "71" * 16, amt="10.00"), card(FAR, FUTURE)]
    rows += [card(RULES, name, **changes) for name, (changes, _) in REJECTED.items()]
    result = books(RULES, rows)
    assert query("select count(*) from raw.dead_letters") == [(0,)]
    assert (result["ok"], result["matched"], result["footer"]["verdict"]) == (False, 1, "AGREES")
    found = {each["transaction_id"]: (each["kind"], each["reasons"]) for each in result["differences"]}
    assert found == {name: ("REJECTED_WITH_US", reasons) for name, (_, reasons) in REJECTED.items()}
    show_reconciliation(result)
    assert "rejected: MERCHANT_NAME_MISSING" in capsys.readouterr().out
    assert query("select reasons from raw.rejected_transactions where transaction_id = %s limit 1", FUTURE) == [
        (["TIMESTAMP_IN_FUTURE"],)
    ]


def test_one_id_with_two_amounts_is_an_amount_that_differs(books: Any, query: Any) -> None:
    first = [card(TWICE, "81" * 16, amt="10.00"), *[card(TWICE, "82" * 16, amt="7.00")] * 2]
    result = books(TWICE, first, [card(AGAIN, "81" * 16, amt="12.00", cc_num="4000000000000010")])
    assert (result["ok"], result["matched"], result["differences"]) == (True, 2, [])
    result = books(AGAIN)
    assert [each["kind"] for each in result["differences"]] == ["AMOUNT_DIFFERS"]
    assert query("select distinct reasons from raw.rejected_transactions") == [(["CONFLICTING_DUPLICATE"],)]


def test_ids_with_separators_and_brackets_agree(books: Any) -> None:
    result = books(ODD, [card(ODD, f"9{sign}{n}") for n, sign in enumerate(SIGNS)])
    assert (result["ok"], result["matched"], result["differences"]) == (True, len(SIGNS), [])
