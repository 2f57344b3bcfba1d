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
    for field in GOOD:
        for token in TOKENS:
            yield json.dumps({**GOOD, field: "@@"}).replace('"@@"', token).encode()
        yield json.dumps({name: value for name, value in GOOD.items() if name != field}).encode()


def random_values(dice: random.Random, count: int) -> Iterator[bytes]:
    """Yield events with several fields changed, in several ways of writing JSON, some with broken bytes."""
    for _ in range(count):
        event = dict(GOOD)
        for field in dice.sample(list(GOOD), dice.randint(0, 4)):
            event[field] = f"@{dice.randrange(len(TOKENS))}@"
        for name in dice.sample(list(GOOD), dice.choice((0, 0, 0, 1, 2))):
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
