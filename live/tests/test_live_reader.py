"""From messages to events: kinds, times, amounts, headers, and the message that cannot be judged."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from live_events import ARRIVED, READER, fields, message, read

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from live import events
from live.events import Event, EventReader, Kind, Message

GOOD = json.dumps(fields()).encode()


def test_a_malformed_value_is_a_dead_letter_and_a_tombstone_too() -> None:
    values = (
        None,
        b"",
        b"{}",
        b"[1]",
        json.dumps(fields(amount="12")).encode(),
        json.dumps(fields(amount=1e30)).encode(),
    )
    assert {read(value).kind for value in values} == {Kind.DEAD}
    assert read(None).reasons == ("NULL_VALUE",)


def test_an_event_that_breaks_rules_is_rejected_with_all_of_them() -> None:
    event = read(json.dumps(fields(amount=-1, merchant_name="\u00a0\u200b", timestamp="1999-12-31T23:59:59Z")).encode())
    assert event.kind is Kind.REJECTED
    assert set(event.reasons) == {"AMOUNT_NOT_POSITIVE", "MERCHANT_NAME_MISSING", "TIMESTAMP_TOO_EARLY"}
    assert (read(GOOD).kind, read(GOOD).reasons) == (Kind.SOUND, ())


def test_a_status_is_dated_by_its_header_and_else_by_its_arrival() -> None:
    def status_at(*headers: tuple[str, bytes]) -> Any:
        return read(GOOD, headers).status_at

    stated = (ARRIVED - timedelta(minutes=5)).isoformat().encode()
    assert status_at(("status_at", stated)) == ARRIVED - timedelta(minutes=5)
    assert status_at(("status_at", stated), ("status_at", b"2026-11-20T11:30:00Z")) == ARRIVED - timedelta(minutes=5)
    assert status_at() == status_at(("status_at", b"yesterday")) == status_at(("status_at", b"\xff")) == ARRIVED
    impossible = (b"2099-01-01T00:00:00Z", b"2026-11-20T10:59:59.999999Z", b"2026-11-21T12:00:00.000001Z")
    assert {status_at(("status_at", claim)) for claim in impossible} == {ARRIVED}


def test_an_event_is_numbered_within_a_feed_or_in_none() -> None:
    def feed(run: bytes, seq: bytes) -> Any:
        return read(GOOD, (("run", run), ("seq", seq))).feed

    assert feed(b"feed-1", b"7") == "feed-1"
    assert read(GOOD, (("run", b"feed-1"), ("seq", b"7"))).seq == 7
    assert read(GOOD).feed is None
    assert {feed(b"", b"7"), feed(b"(none)", b"7"), feed(b"feed-1", b"0"), feed(b"feed-1", b"x")} == {None}


def test_amounts_are_exact() -> None:
    assert read(GOOD.replace(b"107.25", b"9999999999999999.99")).amount == Decimal("9999999999999999.99")


def poisoned(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Let whatever holds the payment t5 fail; return the sizes of what is tried."""
    together, tried = EventReader._read_together, list[int]()

    def refuses(self: EventReader, messages: Sequence[Message]) -> Iterable[Event]:
        tried.append(len(messages))
        if any(b'"t5"' in (each.value or b"") for each in messages):
            raise error
        return together(self, messages)

    monkeypatch.setattr(EventReader, "_read_together", refuses)
    return tried


@pytest.mark.parametrize("error", [RecursionError("Asha"), duckdb.InternalException("Asha"), ValueError("Asha")])
def test_what_cannot_be_judged_is_found_and_the_others_are_judged(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tried = poisoned(monkeypatch, error)
    found = READER.read([message(f"t{number}", offset=number) for number in range(100)])
    assert [each.place.offset for each in found] == list(range(100))
    assert [each.place.offset for each in found if each.kind is not Kind.SOUND] == [5]
    assert (found[5].kind, found[5].trouble) == (Kind.UNJUDGED, type(error).__name__)
    assert len(tried) < 20


@pytest.mark.parametrize("error", [MemoryError(), duckdb.OutOfMemoryException("full"), OSError("disk")])
def test_a_machine_without_room_is_no_events_fault(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    poisoned(monkeypatch, error)
    with pytest.raises(type(error)):
        READER.read([message(f"t{number}") for number in range(10)])


def test_a_database_that_does_not_go_on_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = EventReader(load_entity(PAYMENTS))
    assert reader.read([message()])[0].kind is Kind.SOUND
    assert reader._silver._connection is not None
    reader._silver._connection.close()
    assert [each.kind for each in reader.read([message("t1"), message("t2")])] == [Kind.SOUND, Kind.SOUND]


def test_a_poll_of_huge_values_is_judged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PART_BYTES", 3 * len(GOOD))
    tried = poisoned(monkeypatch, ValueError())
    assert len(READER.read([message(f"u{number}") for number in range(40)])) == 40
    assert max(tried) <= 3
