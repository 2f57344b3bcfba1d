"""What is seen of a letter, what is written to a file of letters, and what is read back."""

import json
import os
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.entities import load_entity
from contracts.event_json import to_json
from contracts.faults import fault_kinds
from contracts.model import PAYMENTS
from core.errors import TieoutError
from warehouse.dlq.lake import Letter
from warehouse.dlq.letter_file import as_line, open_letter_file, read_file, read_line, write_letters
from warehouse.dlq.plan import Planner
from warehouse.dlq.selection import Coordinates, parse_offsets
from warehouse.dlq.show import view_bytes
from warehouse.hints import money_hints

CONTRACT = load_entity(PAYMENTS)
SOUND: dict[str, Any] = {
    "transaction_id": "t1",
    "customer_id": "c1",
    "customer_name": "Asha Iyer",
    "customer_email": "asha.iyer@example.com",
    "merchant_name": "Rippin, Kub and Mann",
    "merchant_category": "grocery_pos",
    "amount": Decimal("107.23"),
    "payment_method": "UPI",
    "status": "SUCCESS",
    "failure_reason": None,
    "timestamp": "2026-11-19T14:00:00+05:30",
    "city": "Bengaluru",
    "state": "Karnataka",
    "country": "IN",
    "currency": "INR",
    "device_type": "mobile",
    "ip_address": "203.0.113.7",
    "is_fraud": False,
}
PERSONAL = ("Asha", "asha.iyer", "203.0.113.7")


def broken_values() -> dict[str, bytes | None]:
    """A value for each malformed rule of the contract, a few for those that are broken in several ways."""
    malformed = {rule.code for rule in CONTRACT.rules if rule.kind == "malformed"}
    values = {}
    for code, fault in fault_kinds(CONTRACT).items():
        for variant in range(5) if code in malformed else ():
            made = fault(SOUND, variant)
            values[f"{code}/{variant}"] = to_json(made) if isinstance(made, dict) else made
    assert {name.partition("/")[0] for name in values} == malformed
    return values


BROKEN = broken_values()


def letter(value: bytes | None) -> Letter:
    return Letter(Coordinates("topic", 3, 1207), value, b"c1", "2026-11-20T10:00:00Z", ("AMOUNT_TYPE",))


def line_of(each: Letter) -> bytes:
    return as_line(each, "dead_letters", CONTRACT.name)


@pytest.mark.parametrize("name", BROKEN)
def test_a_letter_of_every_kind_comes_back_from_its_file_with_the_same_meaning(name: str) -> None:
    value = BROKEN[name]
    line = read_line(line_of(letter(value)))
    assert (line.letter.place, line.letter.key, line.is_changed) == (Coordinates("topic", 3, 1207), b"c1", False)
    planner = Planner("r", "topic", CONTRACT)
    before, after = planner.plan(letter(value), "b", is_changed=False), planner.plan(line.letter, "b", is_changed=False)
    assert after.expected == before.expected == (name.partition("/")[0],)
    if value is not None and b" " not in value:
        assert line.letter.value == value


@given(st.binary() | st.text().map(str.encode) | st.floats().map(lambda x: b'{"amount":%r}' % x))
def test_any_bytes_come_back_from_a_file_as_they_were_or_as_the_same_object(value: bytes) -> None:
    back = read_line(line_of(letter(value))).letter.value
    assert back is not None
    assert back == value or orjson.loads(back) == orjson.loads(value)


def test_a_number_keeps_every_digit_on_its_way_through_a_file() -> None:
    value = b'{"amount":100000000000000000000.10,"other":1.0}'
    assert read_line(line_of(letter(value))).letter.value == value


def test_a_mended_line_is_sent_as_it_was_mended() -> None:
    held = json.loads(line_of(letter(to_json(SOUND | {"amount": "107.23"}))))
    assert held["payload"]["amount"] == "107.23"
    held["payload"]["amount"] = 107.23
    line = read_line(json.dumps(held).encode())
    assert line.is_changed
    intent = Planner("r", "topic", CONTRACT).plan(line.letter, "dead_letters", is_changed=True)
    assert (intent.expected, intent.currency, intent.amount) == ((), "INR", Decimal("107.23"))
    assert dict(intent.message().headers)["redrive-of"] == b"3:1207"


def test_a_letter_of_a_former_topic_is_named_with_that_topic() -> None:
    intent = Planner("r", "another", CONTRACT).plan(letter(b"{"), "dead_letters", is_changed=False)
    assert intent.redrive_of == "3:1207@topic"


def test_what_a_killed_export_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / f".letters.jsonl.{2**22 + 1}-1.partial"  # no process has so high a number
    left.write_text("private")
    os.utime(left, (0, 0))
    write_letters(tmp_path / "letters.jsonl", [line_of(letter(b"{"))])
    assert [path.name for path in tmp_path.iterdir()] == ["letters.jsonl"]


def test_a_file_of_letters_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    assert write_letters(file, [line_of(letter(b"{")), line_of(letter(None))]) == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(TieoutError, match="is there already"):
        write_letters(file, [])
    assert len(file.read_bytes().splitlines()) == 2
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"[]",
        b'{"letter":"1:2"}',
        b'{"letter":"1:2","topic_id":"t"}',
        b'{"letter":"x","topic_id":"t"}',
        b'{"letter":"1:2","topic_id":"t","payload":{"a":1,"a":2}}',
        b'{"letter":"1:2","topic_id":"t","payload_base64":"*"}',
        b'{"letter":"1:99999999999999999999","topic_id":"t","payload":{}}',
        b'{"letter":"9999999999:1","topic_id":"t","payload":{}}',
        '{"letter":"\u0661:\u0662","topic_id":"t","payload":{}}'.encode(),
        b'{"letter":5,"topic_id":"t","payload":{}}',
        b'{"letter":"1:2","topic_id":"t\\u0000","payload":{}}',
        b'{"letter":"1:2","topic_id":"\\ud800","payload":{}}',
        b'{"letter":"1:2","topic_id":"t","payload":{},"key_base64":5}',
        b'{"letter":"1:2","topic_id":"t","payload":{},"reasons":5}',
        b'{"letter":"1:2","topic_id":"t","payload":{},"status_at":"\\ud800"}',
        b'{"letter":"1:2","topic_id":"t","payload":{"a":"\\ud800"}}',
        b'{"letter":"1:2","topic_id":"t","payload_text":"\\ud800"}',
        b'{"letter":' + b"9" * 5_000 + b"}",
        b"[" * 5_000,
        b"\xff\xfe\x00",
    ],
)
def test_a_line_that_is_no_letter_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "letters.jsonl"
    file.write_bytes(line_of(letter(b"{")) + line + b"\n")
    with file.open("rb") as source, pytest.raises(TieoutError, match="line 2"):
        list(read_file(source, file))


@pytest.mark.parametrize(
    ("encoding", "end"),
    [("utf-8", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\r\n"), ("utf-16", "\n")],
    ids=["as exported", "a mark", "UTF-16", "UTF-16 with plain ends"],
)
@pytest.mark.parametrize("big", [False, True])
def test_a_file_that_an_editor_saved_is_read_and_its_lines_are_found_again(
    tmp_path: Path, encoding: str, end: str, big: bool
) -> None:
    file = tmp_path / "letters.jsonl"
    text = "".join(line_of(letter(value)).decode() for value in (b"{", to_json(SOUND), b'{"a":"\xc3\xa4"}'))
    saved = text.replace("\n", end)
    file.write_bytes(
        b"\xfe\xff" + saved.encode("utf-16-be") if big and encoding == "utf-16" else saved.encode(encoding)
    )
    with open_letter_file(file) as source:
        lines = list(read_file(source, file))
        assert [line.letter.value for _, line in lines] == [b"{", to_json(SOUND), b'{"a":"\xc3\xa4"}']
        assert not any(line.is_changed for _, line in lines)
        for position, line in reversed(lines):
            source.seek(position)
            assert read_line(source.readline()) == line


def test_a_file_that_cannot_be_read_twice_or_is_no_text_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "half").write_bytes(b"\xff\xfe{\x00x")
    for name, said in (("pipe", "no regular file"), ("half", "has the mark of UTF-16 and is none")):
        with pytest.raises((OSError, TieoutError), match=said), open_letter_file(tmp_path / name):
            pass


@pytest.mark.parametrize("name", BROKEN)
def test_nothing_personal_is_shown_unless_asked(name: str) -> None:
    value = BROKEN[name]
    shown = json.dumps(view_bytes(letter(value), CONTRACT, unmask=False))
    assert not [word for word in PERSONAL if word in shown]
    if value:
        assert str(len(value)) in shown
        assert value.decode("utf-8", "backslashreplace") == view_bytes(letter(value), CONTRACT, unmask=True)["raw"]


def test_a_field_that_is_open_is_shown_as_it_was_written() -> None:
    seen = view_bytes(letter(b'{"amount":"12.50","customer_name":"Asha","Asha Iyer":1}'), CONTRACT, unmask=False)
    assert seen["fields"] == [
        {"name": "amount", "value": '"12.50"'},
        {"name": "customer_name", "value": "(masked, 6 characters)"},
        {"name": "(masked, 9 characters)", "value": "(masked, 1 characters)"},
    ]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (b'{"amount": 12.5,"currency":"INR"}', (Decimal("12.5"), "INR")),
        (b'{"amount":"107.234","currency" : "USD", "cut', (Decimal("107.234"), "USD")),
        (b'{"n":"\xff","amount":7,"currency":"KWD"}', (Decimal(7), "KWD")),
        (b'[{"amount":\n-3\n,"currency":"JPY"}]', (Decimal(-3), "JPY")),
        (b'{"amount":10,"amount":10.00,"currency":"INR"}', (Decimal(10), "INR")),
        (b'{"amount":10,"amount":11,"currency":"INR"}', (None, None)),
        (b'{"amount":10,"amount":[10],"currency":"INR"}', (None, None)),
        (b'{"currency":"INR","amount":10', (None, None)),
        (b'{"amount":12E1,"currency":"INR"}', (None, None)),
        (b'{"amount":10000000000000000,"currency":"INR"}', (None, None)),
        (b'{"amount":10,"currency":"XXX"}', (None, None)),
        (b'{"amount":10}', (None, None)),
        (b"", (None, None)),
        (None, (None, None)),
    ],
)
def test_a_letter_is_worth_what_its_bytes_say_for_certain(value: bytes | None, hint: tuple[Any, Any]) -> None:
    amount, currency = money_hints(CONTRACT)
    with duckdb.connect() as workspace:
        workspace.execute("create table letters (raw_value blob)")
        workspace.execute("insert into letters values (?)", [value])
        assert workspace.execute(f"select {amount}, {currency} from letters").fetchall() == [hint]


def test_offsets_are_read_as_they_are_shown() -> None:
    assert parse_offsets("0:17, 2:5-9") == ((0, 17, 17), (2, 5, 9))
    for wrong in ("0", "0:", "0:9-5", "x:1", "0:1;2:2", ""):
        with pytest.raises(TieoutError, match="is not PARTITION:OFFSET"):
            parse_offsets(wrong)
