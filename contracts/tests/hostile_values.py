"""Values that readers of JSON get wrong, and a generator of more."""

import json
import random
from collections.abc import Iterator

GOOD = {
    "transaction_id": "t1", "customer_id": "c1", "customer_name": "A", "customer_email": "a@b", "merchant_name": "M",
    "merchant_category": "x", "amount": 12.34, "payment_method": "UPI", "status": "SUCCESS", "failure_reason": None,
    "timestamp": "2025-11-21T10:11:12+05:30", "city": "Pune", "state": "MH", "country": "IN", "currency": "INR",
    "device_type": "web", "ip_address": "1.2.3.4", "is_fraud": False,
}  # fmt: skip
BASE = json.dumps(GOOD).encode()
# With the optional fields.
WHOLE = {**GOOD, "processing_time": 1.25, "customer_segment": "SMB", "fee_percent": 2.5}

TOKENS = (
    "null", "5", "-5", "5.5", "1e3", "1E400", "-1e400", "true", "false", "{}", "[]", '{"a":1}', '{"a":1,"a":2}', "[1]",
    '"x"', '""', '"5"', '"true"', '"{x"', '"[x"', "12.345", "12.340", "12.30", "12", "0.001", "1.5e-3", '"12.34"',
    '"1,234"', "-0", "-0.00", "0", "1234567890123456.78", "12345678901234567", "12345678901234567.891",
    "99999999999999999999.99", "9" * 38, "9" * 39, "0." + "0" * 37 + "1", "0." + "0" * 38 + "1", "12.34" + "0" * 36,
    "12.34" + "0" * 37, "12.3400000000000000000000001", "9999999999999999.99", "9999999999999999.9999", "NaN",
    "Infinity", '"NaN"', "007", "+5", ".5", "5.", "1763719872", "1763719872000", '"2025-11-21T10:11:12Z"',
    '"2025-11-21T10:11:12.123456Z"', '"2025-11-21T10:11:12.1234567Z"', '"2025-11-21T10:11:12"',
    '"2025-11-21 10:11:12Z"', '"2025-11-21"', '"2025-02-30T10:11:12Z"', '"2025-11-21T25:11:12Z"',
    '"2025-11-21T10:11:60Z"', '"2025-11-21T24:00:00Z"', '"2025-11-21T10:11:12Z\\n"', '"0000-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00Z"', '"0001-01-01T00:00:00+00:01"', '"9999-12-31T23:59:59.999999Z"',
    '"9999-12-31T23:59:59-00:01"', '"2025-11-21T10:11:12+18:00"', '"2025-11-21T10:11:12+18:01"',
    '"2025-11-21T10:11:12+05:60"', '"2025-11-21T10:11:12-03:30"', '"2025-11-21T10:11:12-00:00"', '"a\\u0000b"',
    '"\\u0000"', '"\\ud83d"', '"\\ude00"', '"\\ud83d\\ude00"', '"\\\\ud83d"', '"\\\\u0000"', '"a\\":5,b"',
    '"x\\"y\\":true"', '"INR"', '"JPY"', '"KWD"', '"XXX"', "1" * 30, '"\\q"', '"\u00e9"', "'x'", '"tab\there"',
    '"a\x7fb"', '"\u2028\u2029\u0085\ufeff"', '"\U0001f600\U0010ffff"',
    ' "a" ', '\n"a"', "1.0", "100", "1.10", "0.00000001", "123456789012345678", "1234567890123456789", "-12.5",
)  # fmt: skip

DOCUMENTS: tuple[bytes | None, ...] = (
    None, b"", b" ", b"\n\t ", b"null", b"5", b'"s"', b"true", b"[]", b"{}", b"[{}]", BASE + BASE, BASE + b"\n" + BASE,
    BASE + b" junk", BASE + b"}", BASE + b"]", BASE + b"]]", BASE + b",{}", BASE + b",true]", BASE + b',"x":1',
    BASE + b"\x00", BASE[:-1], BASE[:50], b"\xef\xbb\xbf" + BASE, BASE.decode().encode("utf-16"), BASE[:-1] + b",}",
    BASE + b"//c", b"/*c*/" + BASE, b" " + BASE + b" \n", BASE.replace(b"Pune", b"\xff\xfe"),
    BASE.replace(b"Pune", b"\xc0\xaf"), BASE.replace(b"Pune", b"\xed\xa0\x80"), BASE[:-1] + b',"city":"X"}',
    BASE[:-1] + b',"ci\\u0074y":"X"}', BASE.replace(b'"city"', b'"ci\\u0074y"'),
    BASE.replace(b'"city": "Pune"', b'"ci\\u0074y": 5'), BASE.replace(b'"city"', b'"CITY"'),
    BASE[:-1] + b',"extra":1}', BASE[:-1] + b',"extra":{"failure_reason":null,"a":[1,{"city":5}]}}',
    BASE[:-1] + b',"extra":{"a":1,"a":2}}', BASE[:-1] + b',"x\\"city":null}', BASE[:-1] + b',"e":null,"f":"a:b"}',
    BASE[:-1] + b',"":null}', BASE[:-1] + b',"big":"' + b"x" * 2_000_000 + b'"}',
    BASE[:-1] + b',"big":"' + b"x" * 1_000_000 + b'"}', BASE[:-1] + b',"n":' + b"[" * 900 + b"]" * 900 + b"}",
    BASE[:-1] + b',"n":1e400}', BASE[:-1] + b',"n":NaN}', BASE[:-1] + b',"n":"\\u0000"}',
    BASE[:-1] + b',"n":"\\ud83d"}',
    b'{"a":1,"a":2}', b'{"a":1,"a":2} x', b'[{"a":1,"a":2}]', b"[1,2]", b"1,2", b'"{"', b"{", b"[", b"]", b"}", b",",
    b'{"a"}', b"{'a':1}", b"\x00", b'{"status":"WAT","city":7,"amount":"x"}',
)  # fmt: skip


def every_field_with_every_token() -> Iterator[bytes]:
    """Yield the good event with each token in each field's place, and without each field."""
    for field in WHOLE:
        event = GOOD if field in GOOD else WHOLE
        for token in TOKENS:
            yield json.dumps({**event, field: "@@"}).replace('"@@"', token).encode()
        yield json.dumps({name: value for name, value in event.items() if name != field}).encode()


def random_values(dice: random.Random, count: int) -> Iterator[bytes]:
    """Yield events with several fields changed, in several ways of writing JSON, some with broken bytes."""
    for _ in range(count):
        event = dict(dice.choice((GOOD, WHOLE)))
        for field in dice.sample(list(event), dice.randint(0, 4)):
            event[field] = f"@{dice.randrange(len(TOKENS))}@"
        for name in dice.sample(list(event), dice.choice((0, 0, 0, 1, 2))):
            del event[name]
        if dice.random() < 0.2:
            event[dice.choice(("extra", "CITY", "a:b", 'q"city'))] = dice.choice((None, 1, "x:y", {"city": 5}, [None]))
        text = json.dumps(event, separators=dice.choice(((",", ":"), (", ", ": "), (" ,", " : "))))
        for number, token in enumerate(TOKENS):
            text = text.replace(f'"@{number}@"', token)
        value = text.encode()
        if dice.random() < 0.1:
            position = dice.randrange(len(value))
            value = value[:position] + dice.choice((b"", b'"', b"\\", b"\xff", b"\x00", b"}")) + value[position + 1 :]
        yield value


_BYTES = [bytes([number]) for number in range(256)]
_PIECES = [
    b"\\u0000", b"\\ud800", b"\\ud83d\\ude00", b"\\n", b'\\"', b"\\/", "\u00e9".encode(), "\u2028".encode(),
    "\U0001f600".encode(), "\ud7ff".encode(), "\ue000".encode(), b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc1\xbf",
    b"null", b"true", b",", b'":', b'","city":"', b"0", b"00", b".5", b"1e5", b" ", b"\r\n", b"{", b"}",
]  # fmt: skip
_DAYS = [
    f"{year}-{month:02}-{day:02}"
    for year in ("1899", "1900", "1999", "2000", "2024", "2025", "2096", "2099", "2100", "0001", "9999")
    for month, day in ((2, 28), (2, 29), (2, 30), (4, 30), (4, 31), (12, 31), (1, 31), (0, 1), (13, 1), (1, 0), (6, 32))
]
_CLOCKS = ("00:00:00", "23:59:59", "24:00:00", "23:60:00", "23:59:60")
_FRACTIONS = ("", "", ".1", ".123456", ".1234567", ".")
_ZONES = (
    "Z",
    "z",
    "+00:00",
    "-00:00",
    "+05:30",
    "-12:45",
    "+17:59",
    "+18:00",
    "-18:00",
    "+18:01",
    "+05:60",
    "",
    "+0530",
)
_CURRENCIES = ("USD", "JPY", "KWD", "INR", "XXX", "")
_AMOUNTS = (
    "1", "1.5", "1.50", "1.500", "1.234", "1.2340", "1.2345", "1.23450", "1.23456", "0", "-0", "-0.0", "00", "1.",
    "9999999999999999", "9999999999999999.9999", "12345678901234567", "0.0001", "0.00010", "-5.05",
)  # fmt: skip


def mutations(dice: random.Random, count: int) -> Iterator[bytes]:
    """Yield good events, each changed a little where readers differ: bytes, instants, amounts, tokens, ends, blanks."""
    for number in range(count):
        event = {
            **dice.choice((GOOD, WHOLE)),
            "transaction_id": f"t{number}",
            "customer_name": dice.choice(("A", "\u00c5sa", "\u2028", "\U0001f600")),
        }
        kind = dice.random()
        if kind < 0.2:
            stamp = f"{dice.choice(_DAYS)}T{dice.choice(_CLOCKS)}{dice.choice(_FRACTIONS)}{dice.choice(_ZONES)}"
            event["timestamp"] = stamp
        elif kind < 0.45:
            event |= {"amount": "@@", "currency": dice.choice(_CURRENCIES)}
        elif kind < 0.6:
            event[dice.choice(list(event))] = "@@"
        if dice.random() < 0.1:
            event = dict(sorted(event.items()))
        layout = dice.choice(((",", ":"), (", ", ": "), (" ,\n", "\t:")))
        text = json.dumps(event, separators=layout, ensure_ascii=dice.random() < 0.5)
        token = dice.choice(_AMOUNTS if kind < 0.45 else TOKENS)
        value = text.replace('"@@"', token).encode("utf-8", "surrogatepass")
        if kind >= 0.6 and kind < 0.9:
            for _ in range(dice.randint(1, 3)):
                at = dice.randrange(len(value))
                value = value[:at] + dice.choice(dice.choice((_BYTES, _PIECES))) + value[at + dice.randint(0, 2) :]
        elif kind >= 0.97:
            value = value[: dice.randrange(len(value))]
        yield value
