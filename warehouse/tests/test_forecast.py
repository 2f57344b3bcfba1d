"""What a dry run says of letters comes true, and a rejected row says with what it disagrees."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from letter_books import Books, sound

from contracts.event_json import to_json
from warehouse.dlq import commands, display
from warehouse.dlq.selection import Selection

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


def forecast(books: Books, file: Path, *events: dict[str, Any] | bytes | None) -> dict[str, Any]:
    """Put events into the open dead letters, ask, send, load; return what was foretold, and see that it came true."""
    books.send(*(b"{" for _ in events))
    lines = books.export(file, state="open")
    for line, event in zip(lines, events, strict=True):
        for name in ("payload", "payload_text", "payload_base64"):
            line.pop(name, None)
        name = "payload" if isinstance(event, dict) else "payload_text"
        line[name] = orjson.Fragment(to_json(event)) if isinstance(event, dict) else (event or b"").decode()
    file.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    before = books.states()
    told: dict[str, Any] = books.redrive(file=str(file), dry_run=True)["expected"]
    assert books.states() == before
    outcome = books.redrive(file=str(file))
    assert outcome["expected"] == {name: told[name] for name in ("well_formed", "malformed")}
    books.take_in()
    books.tie_out()
    of_run = "from raw.{} where run = %s"
    for book, count in (("transactions", told["new"]), ("duplicates", told["duplicates"])):
        assert books.query(f"select count(*) {of_run.format(book)}", outcome["run"]) == [(count,)]
    rejected = books.query(
        f"select unnest(reasons), count(*) {of_run.format('rejected_transactions')} group by 1", outcome["run"]
    )
    assert dict(rejected) == told["rejected"]
    dead = books.query(f"select count(*) {of_run.format('dead_letters')}", outcome["run"])
    assert dead == [(len(events) - told["well_formed"],)]
    return told


def test_a_dry_run_judges_with_what_silver_has_of_the_payment(books: Books, tmp_path: Path) -> None:
    books.send(
        *(to_json(sound(number, status="PENDING", failure_reason=None)) for number in range(3)),
        *(to_json(sound(number)) for number in (3, 4, 5)),
    )
    told = forecast(
        books,
        tmp_path / "letters.jsonl",
        sound(0),
        sound(1, amount=Decimal("9.99")),
        sound(2, status="PENDING", failure_reason=None),
        sound(3),
        sound(4, city="Delhi"),
        sound(5, status="FAILED", failure_reason="TIMEOUT"),
        sound(6, amount=Decimal(-1), merchant_name=""),
        sound(7),
        b"{",
    )
    assert (told["well_formed"], told["malformed"], told["new"]) == (8, {"MALFORMED_JSON": 1}, 2)
    assert told["new_amounts"] == {"INR": {"count": 2, "amount": "214.46"}}
    assert told["duplicates"] == 2
    assert told["rejected_letters"] == 4
    assert told["rejected"] == {
        "AMOUNT_NOT_POSITIVE": 1,
        "CONFLICTING_DUPLICATE": 1,
        "CONTRADICTING_STATUS": 1,
        "MERCHANT_NAME_MISSING": 1,
        "SETTLEMENT_MISMATCH": 1,
    }
    assert [(each["becomes"], each["reasons"]) for each in told["not_new"]] == [
        ("rejected_transactions", ["SETTLEMENT_MISMATCH"]),
        ("duplicates", []),
        ("duplicates", []),
        ("rejected_transactions", ["CONFLICTING_DUPLICATE"]),
        ("rejected_transactions", ["CONTRADICTING_STATUS"]),
        ("rejected_transactions", ["MERCHANT_NAME_MISSING", "AMOUNT_NOT_POSITIVE"]),
        ("dead_letters", ["MALFORMED_JSON"]),
    ]


def test_a_dry_run_judges_with_the_other_letters_of_the_same_redrive(books: Books, tmp_path: Path) -> None:
    told = forecast(
        books,
        tmp_path / "letters.jsonl",
        sound(0, status="PENDING", failure_reason=None),
        sound(0, amount=Decimal(5)),
        sound(0),
        sound(1),
        sound(1),
        sound(1, status="FAILED", failure_reason="TIMEOUT"),
        sound(1, country="US"),
    )
    assert (told["new"], told["duplicates"]) == (3, 1)
    assert told["rejected"] == {"CONFLICTING_DUPLICATE": 1, "CONTRADICTING_STATUS": 1, "SETTLEMENT_MISMATCH": 1}


def test_a_rejected_row_says_what_it_disagrees_with(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    books.send(to_json(sound(1, status="PENDING", failure_reason=None)))
    books.send(to_json(sound(1, city="Pune ", customer_name="Another Name")))
    ((place,),) = books.query("select partition || ':' || \"offset\" from raw.rejected_transactions")
    shown = commands.show_letter(commands.select(rejected=True, offsets=place), unmask=False)
    assert shown["conflict"]["standing"]["load_id"] < shown["load_id"]
    assert [each["field"] for each in shown["conflict"]["differs"]] == ["customer_name", "city"]
    display.show_letter(shown)
    listed = commands.list_letters(Selection(rejected=True), by="reason", letters=True, limit=5)
    display.show_list(listed)
    printed = capsys.readouterr().out
    assert printed.count('stands, "Pune<U+0020>" came') == 2
    assert "Another" not in printed
    first = shown["conflict"]["standing"]
    assert (
        f"what stands is {first['partition']}:{first['offset']} in raw.transactions: source feed gateway-1" in printed
    )
    told = books.redrive(offsets=place, rejected=True, dry_run=True)
    assert told["expected"]["rejected"] == {"SETTLEMENT_MISMATCH": 1}
    display.show_outcome(told)
    assert f"  {place} would be in raw.rejected_transactions SETTLEMENT_MISMATCH" in capsys.readouterr().out
