"""The gateway's own statement: every sound payment once, with its latest status, whoever sent it and how often."""

import csv
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import data_generator.statement as module
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from data_generator.breaker import sound_event
from data_generator.events import Event, Line
from data_generator.feed import Feed
from data_generator.plan import Plan
from data_generator.statement import Statement, StatementError, statement_path
from data_generator.statement_book import BOOK, StatementBook

DIGITS = dict(load_entity(PAYMENTS).currencies)


def take(folder: Path, events: Iterable[Event], clock: Callable[[], float] | None = None) -> Statement:
    statement = Statement(folder, DIGITS, print, **({"clock": clock} if clock else {}))
    for event in events:
        statement.note(event)
    statement.close()
    return statement


def lines(path: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [r for r in rows if r["transaction_id"] != "TOTAL"], [r for r in rows if r["transaction_id"] == "TOTAL"]


def everything(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("gateway-*.csv")}


def test_each_payment_is_on_its_own_day_once_with_its_latest_status(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    made = plan(total=3_000)
    payments = list(feed(made)._payments())
    settled = {f["transaction_id"]: f["status"] for f in (p.settlement() for p in payments if p.settles_as)}
    statement = take(tmp_path, feed(made))
    found = {row["transaction_id"]: row for day in statement.days for row in lines(statement_path(tmp_path, day))[0]}
    assert len(payments) == len(found) == 3_000
    assert len(statement.days) >= 30
    pending = 0
    for payment in payments:
        row = found[payment.fields["transaction_id"]]
        assert row["date"] == payment.fields["timestamp"][:10]
        assert Decimal(row["amount"]) * 100 == payment.units
        ends = settled.get(row["transaction_id"], payment.fields["status"])
        pending += row["status"] == "PENDING" != ends
        assert row["status"] in {ends, "PENDING"}
    assert 0 < pending < 100  # due after the feed's end


def test_the_footer_holds_count_and_sum_of_each_currency_and_of_all(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    statement = take(tmp_path, feed(plan()))
    for day in statement.days:
        path = statement_path(tmp_path, day)
        body, footer = lines(path)
        counts = Counter(row["currency"] for row in body)
        assert path.stat().st_mode & 0o777 == 0o600
        assert [row["currency"] for row in footer] == [*sorted(counts), ""]
        assert {row["currency"]: int(row["status"]) for row in footer} == {**counts, "": len(body)}
        for row in footer[:-1]:
            assert Decimal(row["amount"]) == sum(Decimal(r["amount"]) for r in body if r["currency"] == row["currency"])


def test_what_is_broken_or_repeated_on_purpose_is_no_line_but_its_sound_settlement_is(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    events = list(feed(plan(total=2_000, faults=Fraction(1, 2))))
    sound = [event for event in events if event.fault is None]
    assert len(events) - len(sound) > 900
    statement = take(tmp_path / "with", events)
    take(tmp_path / "without", sound)
    assert everything(tmp_path / "with") == everything(tmp_path / "without")
    assert statement.days


def test_the_same_feed_again_and_another_feed_of_the_day_add_up(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    one, other = plan(total=500), plan(total=300, seed=8)
    take(tmp_path, feed(one))
    first = everything(tmp_path)
    take(tmp_path, feed(one))
    assert everything(tmp_path) == first
    take(tmp_path, feed(other))
    assert sum(len(lines(tmp_path / name)[0]) for name in everything(tmp_path)) == 800


def test_a_feed_that_was_cut_off_is_completed_by_the_same_feed_again(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    made = plan(total=800)
    take(tmp_path / "whole", feed(made))
    part = Statement(tmp_path / "cut", DIGITS, print)
    for event in list(feed(made))[:400]:
        part.note(event)
    part._flush()  # what a killed gateway leaves: a book, and no file
    assert everything(tmp_path / "cut") == {}
    take(tmp_path / "cut", feed(made))
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")


def test_what_a_killed_gateway_had_put_is_written_by_the_next_one_whatever_it_sends(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    killed = Statement(tmp_path, DIGITS, print)
    for event in feed(plan(total=200)):
        killed.note(event)
    killed._flush()
    statement = take(tmp_path, feed(plan(total=30, start=1_700_000_000_000)))
    written = {path.stem.removeprefix("gateway-") for path in tmp_path.glob("gateway-*.csv")}
    assert killed.days | statement.days == written
    assert not killed.days & statement.days
    assert sum(len(lines(path)[0]) for path in tmp_path.glob("gateway-*.csv")) == 230


def test_lines_that_come_while_a_statement_is_written_make_it_be_written_again(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = list(feed(plan(total=40, span=3_600_000)))
    other = Statement(tmp_path, DIGITS, print)
    for event in events[:20]:
        other.note(event)
    real = module.write_statement

    def interrupted(*arguments: Any) -> Path:
        path = real(*arguments)
        other._attempt(other._flush)
        return path

    monkeypatch.setattr(module, "write_statement", interrupted)
    take(tmp_path, events[20:])
    (day,) = other.days
    assert len(lines(statement_path(tmp_path, day))[0]) < 40
    monkeypatch.undo()
    other.close()
    assert len(lines(statement_path(tmp_path, day))[0]) == 40


def test_two_gateways_at_once_lose_nothing_of_each_other(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    feeds = [list(feed(plan(total=600, seed=seed, span=86_400_000))) for seed in (1, 2, 3)]
    failed: list[Any] = []

    def gateway(events: list[Event]) -> None:
        ticks = iter(range(10**9))
        failed.append(take(tmp_path, events, clock=lambda: next(ticks) * 30.0).error)

    threads = [threading.Thread(target=gateway, args=(events,)) for events in feeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [None] * 3
    assert sum(len(lines(path)[0]) for path in tmp_path.glob("gateway-*.csv")) == 1_800


def test_an_id_is_kept_as_it_is_whatever_it_holds(tmp_path: Path) -> None:
    ids = ["a|b", "a,b|", '"', "\\", "é", "PENDING", "|PENDING", "x" * 200]
    book = StatementBook(tmp_path)
    assert set(book.put([Line("2026-11-22", each, 5, "INR", "SUCCESS") for each in ids])) == {"2026-11-22"}
    assert list(book.day("2026-11-22")) == [(each, 5, "INR", "SUCCESS") for each in sorted(ids, key=str.encode)]


def test_a_book_with_a_row_for_each_line_is_taken_over_and_adds_up(tmp_path: Path) -> None:
    old = [("2026-11-22", "a", 5, "INR", "PENDING"), ("2026-11-22", "b", 7, "USD", "FAILED")]
    old += [("2026-11-23", "c", 9, "USD", "SUCCESS"), ("2026-11-22", "a", 5, "INR", "SUCCESS")]
    with sqlite3.connect(tmp_path / BOOK) as db:
        db.execute("create table lines (day text, transaction_id text, units integer, currency text, status text)")
        db.executemany("insert into lines values (?, ?, ?, ?, ?)", old)
    book = StatementBook(tmp_path)
    book.put([Line("2026-11-22", "b", 7, "USD", "SUCCESS"), Line("2026-11-22", "d", 1, "INR", "SUCCESS")])
    for again in (book, StatementBook(tmp_path)):
        assert list(again.day("2026-11-23")) == [("c", 9, "USD", "SUCCESS")]
        assert list(again.day("2026-11-22")) == [
            ("a", 5, "INR", "SUCCESS"),
            ("b", 7, "USD", "FAILED"),
            ("d", 1, "INR", "SUCCESS"),
        ]


def test_a_settlement_never_goes_back_to_pending_and_the_first_end_stands(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    payment = next(p for p in feed(plan())._payments() if p.settles_as == "SUCCESS")
    first = sound_event("payment", payment, payment.fields, 0)
    settled = sound_event("settlement", payment, payment.settlement(), 5)
    other = sound_event("settlement", payment, {**payment.settlement(), "status": "FAILED"}, 6)
    orders = {"in order": [first, settled], "resent": [first, settled, first], "again": [first, settled, other]}
    for name, events in orders.items():
        statement = take(tmp_path / name, events)
        (day,) = statement.days
        (row,) = lines(statement_path(tmp_path / name, day))[0]
        assert row["status"] == "SUCCESS"


def test_a_statement_that_cannot_be_written_is_said_and_leaves_the_old_one(
    plan: Callable[..., Plan], feed: Callable[..., Feed], tmp_path: Path
) -> None:
    take(tmp_path, feed(plan(total=50)))
    before = everything(tmp_path)
    said: list[str] = []
    statement = Statement(tmp_path, DIGITS, said.append)
    statement._book._db.execute("drop table batches")
    for event in feed(plan(total=50, seed=9)):
        statement.note(event)
    statement.close()
    assert isinstance(statement.error, StatementError)
    assert len(said) == 1
    assert everything(tmp_path) == before
    (tmp_path / "file").touch()
    with pytest.raises(StatementError, match="cannot be written"):
        Statement(tmp_path / "file", DIGITS, print)
