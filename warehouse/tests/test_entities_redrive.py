"""Dead letters of payments and refunds: listed together, each judged by its own contract and sent to its own topic."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from letter_books import Books, control_totals, sound
from small_stream import SmallStream
from typer.testing import CliRunner

from contracts.entities import load_entity
from contracts.event_json import to_json
from contracts.faults import sound_event
from contracts.model import PAYMENTS
from control.testing import Handle
from core.errors import OptionError, TieoutError
from warehouse.dlq import commands, display
from warehouse.dlq.books import open_books
from warehouse.dlq.cli import mount
from warehouse.dlq.selection import Selection
from warehouse.dlq.write_off import write_off
from warehouse.proof import run_proof

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
REFUNDS = load_entity("refunds")
BROKEN_PAYMENT, BROKEN_REFUND = b'{"amount":"12.50","currency":"INR"}', b'{"amount":"7.50","currency":"USD"}'


def refund_event(number: int, **changed: Any) -> dict[str, Any]:
    return sound_event(REFUNDS) | {"refund_id": f"r{number}", **changed}


@pytest.fixture
def refunds(services: Handle, books: Books) -> SmallStream:
    return SmallStream(services.env, books.layout, "refunds-topic", REFUNDS)


@pytest.fixture
def broken(books: Books, refunds: SmallStream) -> SmallStream:
    """Two dead letters and a rejected event of each entity."""
    books.stream.send([BROKEN_PAYMENT, b"{", to_json(sound(9, merchant_name=""))])
    refunds.send([BROKEN_REFUND, b"{", to_json(refund_event(9, reason="WHY"))], run="gateway-f")
    take_in(books, refunds)
    return refunds


def take_in(books: Books, refunds: SmallStream) -> None:
    books.stream.drain()
    refunds.drain()
    books.load()


def mend(file: Path) -> None:
    """Put a sound event of its entity into each line."""
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    for number, line in enumerate(lines):
        for name in ("payload", "payload_text", "payload_base64"):
            line.pop(name, None)
        event = sound(number) if line["entity"] == PAYMENTS else refund_event(number)
        line["payload"] = orjson.Fragment(to_json(event))
    file.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))


def tie_out(books: Books) -> None:
    for full in (False, True):
        equations = run_proof(full, settings=books.settings, layout=books.layout)["equations"]
        assert {e["scope"].get("entity") for e in equations} == {None, "refunds"}
        assert [e for e in equations if e["verdict"] == "DIFFERENT"] == []


def test_broken_events_of_both_are_mended_in_one_file_and_go_back_each_to_its_own_topic(
    books: Books, services: Handle, broken: SmallStream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "letters.jsonl"
    exported = commands.export(commands.select(rejected=False), file)
    assert (exported["letters"], exported["book"], exported["entities"]) == (4, "dead_letters", [PAYMENTS, "refunds"])
    mend(file)
    preview = books.redrive(file=str(file), dry_run=True)
    assert [(each["entity"], each["expected"]["new"]) for each in preview["redrives"]] == [
        (PAYMENTS, 2),
        ("refunds", 2),
    ]
    outcome = books.redrive(file=str(file))
    assert (outcome["ok"], outcome["letters"], outcome["run"]) == (True, 4, None)
    display.show_outcome(outcome)
    assert "refunds:" in capsys.readouterr().out
    take_in(books, broken)
    tie_out(books)
    assert books.query("select refund_id from raw.refunds where redrive_of is not null order by 1") == [
        ("r2",),
        ("r3",),
    ]
    assert books.query("select count(*) from raw.transactions where redrive_of is not null") == [(2,)]
    for each in outcome["redrives"]:
        (*_, last) = control_totals(services.env, each["run"])
        assert (last.closed, last.seq, last.entity) == (True, 2, each["entity"])
    feeds = "select entity, settled_seq from metadata.feeds where run like 'redrive-%' order by 1"
    assert books.query(feeds) == [("refunds", 0), (PAYMENTS, 0)], "their totals are read by the loader of a platform"
    successors = "select entity, successor_book from metadata.dead_letter_book where state = 'REDRIVEN' order by 1, 2"
    assert books.query(successors) == [("refunds", "refunds")] * 2 + [(PAYMENTS, "transactions")] * 2
    with pytest.raises(TieoutError, match="was redriven already"):
        books.redrive(file=str(file))


def test_a_dry_run_of_refunds_knows_the_refunds_in_silver(books: Books, refunds: SmallStream, tmp_path: Path) -> None:
    refunds.send([to_json(refund_event(0, status="PENDING")), to_json(refund_event(1)), b"{", b"[", b"]"], run="g-f")
    take_in(books, refunds)
    file = tmp_path / "letters.jsonl"
    commands.export(commands.select(rejected=False, entity="refunds"), file)
    mend(file)  # r0, r1 and r2
    lines = file.read_bytes().replace(b"CUSTOMER_REQUEST", b"DAMAGED", 1)
    file.write_bytes(lines)
    expected = books.redrive(file=str(file), dry_run=True)["expected"]
    assert (expected["new"], expected["duplicates"], expected["rejected"]) == (1, 1, {"SETTLEMENT_MISMATCH": 1})
    assert [each["becomes"] for each in expected["not_new"]] == ["rejected_refunds", "duplicate_refunds"]


def test_letters_of_both_are_listed_apart_and_one_entity_can_be_chosen(
    books: Books, broken: SmallStream, capsys: pytest.CaptureFixture[str]
) -> None:
    found = commands.list_letters(commands.select(rejected=False, state="open"), by="reason", letters=True, limit=9)
    assert sorted((group["entity"], group["count"]) for group in found["groups"]) == [
        *[("refunds", 1)] * 2,
        *[(PAYMENTS, 1)] * 2,
    ]
    assert found["states"] == {"OPEN": 4}
    display.show_list(found)
    assert "entity" in capsys.readouterr().out
    rejected = commands.list_letters(commands.select(rejected=True), by="reason", letters=False, limit=9)
    assert rejected["book"] == "rejected_transactions, rejected_refunds"
    one = commands.list_letters(commands.select(rejected=True, entity="refunds"), by="reason", letters=True, limit=9)
    assert (one["book"], one["letters"][0]["reasons"]) == ("rejected_refunds", ["REASON_UNKNOWN"])
    display.show_list(one)
    assert "entity" not in capsys.readouterr().out
    with pytest.raises(OptionError, match="chargebacks is no entity"):
        commands.select(rejected=False, entity="chargebacks")
    with pytest.raises(OptionError, match=r"of refunds 1\.0\.0 has no reason PAYMENT_METHOD_UNKNOWN"):
        commands.select(rejected=False, entity="refunds", reason="PAYMENT_METHOD_UNKNOWN")
    assert commands.select(rejected=False, reason="PAYMENT_METHOD_UNKNOWN").entity is None


def test_coordinates_alone_are_the_payments_and_a_letter_shows_its_chain(books: Books, broken: SmallStream) -> None:
    ((place,),) = books.query(
        "select partition || ':' || \"offset\" from metadata.dead_letter_book "
        "where entity = 'refunds' and currency = 'USD' and book = 'dead_letters'"
    )
    here = {"rejected": False, "entity": "refunds", "offsets": place}
    shown = commands.show_letter(commands.select(**here), unmask=False)
    assert (shown["entity"], shown["amount"], shown["currency"]) == ("refunds", "7.50", "USD")
    assert "refund_id is null or absent." in shown["meanings"].values()
    assert commands.select(rejected=False, offsets=place).entity == PAYMENTS
    books.redrive(entity="refunds", offsets=place)
    with pytest.raises(TieoutError, match="was redriven already") as refused:
        books.redrive(entity="refunds", offsets=place)
    assert f"dlq show {place} --entity refunds" in refused.value.next
    take_in(books, broken)
    assert [link["state"] for link in commands.show_letter(commands.select(**here), unmask=False)["chain"]] == [
        "REDRIVEN",
        "OPEN",
    ]
    tie_out(books)


def test_a_write_off_says_what_of_each_entity_is_written_off(books: Books, broken: SmallStream) -> None:
    with open_books(books.settings) as connection:
        outcome = write_off(connection, Selection(entity="refunds"), "a test", "Asha Iyer", dry_run=True)
        assert (outcome["letters"], list(outcome["amounts"])) == (2, ["USD"])
        outcome = write_off(connection, Selection(), "a test", "Asha Iyer", dry_run=False)
    assert [(each["entity"], each["letters"], list(each["amounts"])) for each in outcome["entities"]] == [
        (PAYMENTS, 2, ["INR"]),
        ("refunds", 2, ["USD"]),
    ]
    display.show_outcome(outcome)


def test_an_entity_alone_is_no_choice_of_letters() -> None:
    app = typer.Typer()
    mount(app)
    for words in (["redrive"], ["export", "x.jsonl"], ["redrive", "--from", "x.jsonl"]):
        assert CliRunner().invoke(app, ["dlq", *words, "--entity", "refunds"]).exit_code == 2
