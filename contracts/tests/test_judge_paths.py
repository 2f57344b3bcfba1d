"""Which values take the judge's quick path: to the last letter, day and digit all that the patterns promise, no other.

Either path gives the same verdict, so that a pattern which became narrower would show in the cost alone.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hostile_values import BASE, GOOD

from contracts import judge as of_batches
from contracts.entities import load_entity
from contracts.judge import Judge
from contracts.model import PAYMENTS
from contracts.verdict import judge as of_one

CONTRACT = load_entity(PAYMENTS)
JUDGE = Judge(CONTRACT)
# So many values are asked one by one before an order of keys is learnt, and so many of an order are enough.
SAMPLE, ENOUGH, ORDERS = 256, 8, 8
# Known from the beginning: with the optional fields, and without them.
STATED = 2


def check(values: Iterable[bytes], quick: Callable[[bytes], bool] | bool, judge: Judge = JUDGE) -> None:
    """Judge values; those that are to take the quick path do, no other does, and their verdicts are the parser's."""
    given = list(values)
    parts = {True: [v for v in given if quick is True or (quick and quick(v))]}
    parts[False] = sorted(set(given) - set(parts[True]))
    for is_quick, part in parts.items():
        found = judge.judge(pa.array(part, pa.binary()))
        assert found.usual == is_quick * len(part)
        for value, reasons in zip(part, found.columns["reasons"].to_pylist(), strict=True):
            assert set(reasons) == of_one(value, CONTRACT).reasons, value[:400]


def with_city(text: bytes) -> bytes:
    return BASE.replace(b'"Pune"', b'"' + text + b'"')


def test_what_is_no_text_is_left_to_the_parser() -> None:
    broken = [bytes([code]) for code in (*range(0x20), *range(0x80, 0x100))]
    broken += [
        b"\xc2", b"\xc2\x20", b"\xc2\xc0", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xe1\x80", b"\xe1\x7f\x80", b"\xed\xa0\x80",
        b"\xef\xbf", b"\xf0\x8f\xbf\xbf", b"\xf1\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\\", b'"',
        rb"\u0000", rb"\u", rb"\u0", rb"\u00", rb"\u000", rb"\u00a", rb"\u01", rb"\u0a", rb"\u12", rb"\u123",
        rb"\u123g", rb"\u00g1", rb"\U0041", rb"\x41", rb"\q", rb"\1", rb"\ud7", rb"\ud7f", rb"\ud83d", rb"\ude00",
        rb"\udc00", rb"\udfff", rb"\ud83d\ud83d", rb"\ud83d\u0041", rb"\ud83dx", rb"\ud83d\ude0", rb"\ude00\ud83d",
        rb"\ud83d\udbff", rb"\ud83d\ue000", rb"\ud83\ude00", rb"\u012", rb"\u0ab",
    ]  # fmt: skip
    check(map(with_city, broken), False)


def with_timestamp(text: str) -> bytes:
    return BASE.replace(GOOD["timestamp"].encode(), text.encode())  # type: ignore[attr-defined]


def test_every_time_of_day_and_zone_below_18_hours_is_usual_and_no_other() -> None:
    clocks = [f"{hour:02}:11:12" for hour in range(100)] + [f"10:{minute:02}:12" for minute in range(100)]
    clocks += [f"10:11:{second:02}" for second in range(100)]
    texts = {f"2025-11-21T{clock}Z": int(max(clock.split(":"))) < 60 and clock < "24" for clock in clocks}
    texts |= {f"2025-11-21T10:11:12.{'1234567'[:digits]}Z": 0 < digits < 7 for digits in range(8)}
    texts |= {f"2025-11-21T10:11:12.{digits}Z": True for digits in ("0", "9", "000001", "999999", "100000", "050")}
    for sign in "+-":
        for hour in range(30):
            texts |= {
                f"2025-11-21T10:11:12{sign}{hour:02}:{minute:02}": hour < 18 and minute < 60 for minute in range(70)
            }
    others = ("", "z", "+0530", "+5:30", "+05", "Z ", " ", "*05:30", "+05-30", "+05:3", "Z+05:30")
    texts |= {f"2025-11-21T10:11:12{zone}": False for zone in others}
    texts |= dict.fromkeys(
        ("2025-11-21 10:11:12Z", "2025-11-21t10:11:12Z", "25-11-21T10:11:12Z", "2025-11-21T10:11:12,5Z"), False
    )
    usual = {with_timestamp(text) for text, is_usual in texts.items() if is_usual}
    assert len(usual) > 2_000
    check(map(with_timestamp, texts), usual.__contains__)
    zones = [text for text, is_usual in texts.items() if is_usual]
    read = JUDGE.judge(pa.array(map(with_timestamp, zones), pa.binary())).columns
    for text, at, minutes in zip(
        zones, read["occurred_at"].to_pylist(), read["utc_offset_minutes"].to_pylist(), strict=True
    ):
        wanted = datetime.fromisoformat(text)
        assert (at.astimezone(UTC), timedelta(minutes=minutes)) == (wanted, wanted.utcoffset())


def with_amount(amount: str, currency: str) -> bytes:
    return BASE.replace(b"12.34", amount.encode()).replace(b'"INR"', f'"{currency}"'.encode())


@pytest.mark.parametrize("currency", ["INR", "JPY", "KWD", "XXX"])
def test_every_amount_of_16_digits_and_4_decimals_is_usual_where_its_currency_has_them(currency: str) -> None:
    digits = CONTRACT.currencies.get(currency, CONTRACT.platform.unknown_currency_digits)
    amounts = {"0", "-0", "-0.0", "007", "00", "+1", "1.", ".5", "-", "1e2", "1E2", "0x1", "1,5", "1_0", "--1", "-01"}
    for length in range(1, 19):
        for whole in ("1" * length, "9" * length, "-" + "9" * length, "1" + "0" * (length - 1)):
            amounts |= {
                whole + ("." + places if places else "")
                for places in ("", "0", "9", "19", "190", "999", "9000", "9999", "90000")
            }

    def is_usual(amount: str) -> bool:
        whole, _, places = amount.removeprefix("-").partition(".")
        is_number = whole.isdigit() and (places.isdigit() or amount == amount.rstrip("."))
        fits = len(whole) <= 16 and len(places) <= 4 and len(places.rstrip("0")) <= digits
        return is_number and fits and (whole == "0" or whole[0] != "0")

    usual = {with_amount(amount, currency): amount for amount in amounts if is_usual(amount)}
    assert len(usual) > 100
    check({with_amount(amount, currency) for amount in amounts}, usual.__contains__)
    read = JUDGE.judge(pa.array(usual, pa.binary())).columns["amount"].to_pylist()
    assert read == list(map(Decimal, usual.values()))


def test_amounts_of_several_currencies_in_one_batch_are_each_held_to_their_own() -> None:
    pairs = [
        ("7", "JPY"),
        ("7.10", "JPY"),
        ("1.5", "INR"),
        ("1.505", "INR"),
        ("1.505", "KWD"),
        ("1.5055", "KWD"),
        ("1.5055", "XXX"),
    ]
    values = [with_amount(*pair) for pair in pairs]
    found = JUDGE.judge(pa.array(values, pa.binary()))
    assert found.usual == 4
    assert found.columns["reasons"].to_pylist() == [
        [],
        ["AMOUNT_SCALE"],
        [],
        ["AMOUNT_SCALE"],
        [],
        ["AMOUNT_SCALE"],
        [],
    ]


@pytest.mark.parametrize("other", ["INR", "KWD", "XXX"])
def test_amounts_of_two_currencies_are_each_held_to_their_own(other: str) -> None:
    check([with_amount("7", "JPY"), with_amount("7.10", other), with_amount("7.00", "JPY")], True)
    check([with_amount("7.10", "JPY"), with_amount("7.12345", other)], False)


def test_null_is_usual_where_a_field_may_be_absent_and_words_are_whole() -> None:
    whole = {**GOOD, **{field.name: field.example for field in CONTRACT.optional_fields}}
    check([json.dumps(whole).encode()], True)
    for field in CONTRACT.fields:
        value = json.dumps({**whole, field.name: None}).encode()
        check([value], not field.structural)
    for word in (b"true", b"false", b"null"):
        check([BASE.replace(b"false", word)], True)
        check(
            [
                BASE.replace(b"false", word + b"x"),
                BASE.replace(b"false", word[:-1]),
                BASE.replace(b"false", word.upper()),
            ],
            False,
        )


def test_blanks_are_usual_around_every_sign_and_within_no_word() -> None:
    compact = json.dumps(GOOD, separators=(",", ":"))
    check([compact.encode(), compact.replace(",", " \t\r\n,\n\r\t ").replace('":', '" \t\r\n:\n\r\t ').encode()], True)
    check([b" \t\r\n" + BASE + b"\n\r\t ", b"{ \t\r\n" + BASE[1:-1] + b" \t\r\n}"], True)
    check([BASE.replace(b"12.34", b"12. 34"), BASE.replace(b"false", b"fal se"), BASE.replace(b", ", b"\x0b,"),
           BASE.replace(b": ", b"\xa0:"), b"\x0c" + BASE, BASE + b"\x0b"], False)  # fmt: skip


def test_a_value_of_the_longest_size_is_usual_and_one_beyond_it_is_not() -> None:
    room = CONTRACT.platform.max_value_bytes - len(BASE)
    check([BASE + b" " * room], True)
    check([BASE + b" " * (room + 1)], False)


def learnt(event: dict[str, object], count: int = ENOUGH, others: int = SAMPLE) -> Judge:
    """Return a judge that has met an order of keys so often, among so many values that it asked the parser about."""
    judge = Judge(CONTRACT)
    values = [json.dumps({**event, "transaction_id": f"t{n}"}).encode() for n in range(count)]
    judge.judge(pa.array([*values, *[b"{"] * (others - count), b"{"], pa.binary()))
    return judge


def test_an_order_of_keys_is_learnt_when_it_is_frequent_in_the_sample() -> None:
    other = dict(reversed(GOOD.items()))
    value = pa.array([json.dumps(other).encode()], pa.binary())
    assert learnt(other, ENOUGH).judge(value).usual == 1
    assert learnt(other, ENOUGH - 1).judge(value).usual == 0
    assert learnt(other, ENOUGH, SAMPLE - 1).judge(value).usual == 0, "a batch that is asked whole teaches nothing"
    late = Judge(CONTRACT)
    late.judge(pa.array([b"{"] * SAMPLE + [value[0].as_py()] * 100, pa.binary()))
    assert late.judge(value).usual == 0, "beyond the sample"
    many = Judge(CONTRACT)
    many.judge(pa.array([value[0].as_py()] * (SAMPLE + 5), pa.binary()))
    assert len(many._shapes) == STATED + 1


def test_the_most_frequent_orders_are_learnt_first_and_eight_are_all() -> None:
    names, judge = list(GOOD), Judge(CONTRACT)
    orders = [names[at:] + names[:at] for at in range(1, 15)]
    for order in orders:
        judge.judge(pa.array([json.dumps({name: GOOD[name] for name in order}).encode()] * (SAMPLE + 1), pa.binary()))
    values = [json.dumps({name: GOOD[name] for name in order}).encode() for order in orders]
    assert [judge.judge(pa.array([value], pa.binary())).usual for value in values] == [1] * ORDERS + [0] * (14 - ORDERS)
    assert len(judge._shapes) == STATED + ORDERS
    both = Judge(CONTRACT)
    met = [*values[:1] * 100, *values[1:2] * 150, *[b"{"] * 6]
    found = both.judge(pa.array([*met, *values[:1] * 3, b"{", *values[1:2] * 4, b"{"], pa.binary()))
    assert [len(both._shapes), both._shapes[STATED].keys[0]] == [STATED + 2, "customer_name"]
    assert found.usual == 7, "learnt for the rest of the batch"
    assert found.is_sound.to_pylist() == [True] * 250 + [False] * 6 + [True] * 3 + [False] + [True] * 4 + [False]


@pytest.mark.parametrize("key", ["note", "n.o-T_e9", "Z"])
def test_an_unknown_key_of_plain_letters_is_learnt_with_any_scalar(key: str) -> None:
    judge = learnt({**GOOD, key: 1})
    numbers = ["0", "-0", "1", "1" + "0" * 17, "9" * 18, "-" + "9" * 18, "0.5", "9." + "9" * 18, "-1.05"]
    texts = ['""', '"a\\"b"', '"é\\u00e9"', "true", "false", "null"]
    usual = [json.dumps({**GOOD, key: "@"}).replace('"@"', text).encode() for text in (*numbers, *texts)]
    check(usual, True, judge)
    others = ["9" * 19, "0." + "9" * 19, "01", "1.", "-", "1e5", "{}", "[]", "nul", '"\\ud83d"', "True"]
    check((json.dumps({**GOOD, key: "@"}).replace('"@"', text).encode() for text in others), False, judge)
    assert judge.judge(pa.array(usual, pa.binary())).columns["unknown_fields"].to_pylist() == [1] * len(usual)


@pytest.mark.parametrize("key", ["", "a b", "é", 'q"', "a\\", "a:b", "a{", "\n"])
def test_a_key_with_other_characters_is_never_learnt(key: str) -> None:
    judge = learnt({**GOOD, key: 1}, count=100)
    assert len(judge._shapes) == STATED
    check([json.dumps({**GOOD, key: 1}).encode()], False, judge)


def test_a_judge_that_is_sent_elsewhere_judges_by_the_same_contract() -> None:
    made, arguments = JUDGE.__reduce__()
    assert (made, arguments) == (Judge, (CONTRACT,))


def test_a_reader_that_loses_an_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    read = of_batches.pj.read_json
    monkeypatch.setattr(of_batches.pj, "read_json", lambda *args, **options: read(*args, **options).slice(1))
    with pytest.raises(ValueError, match="1 events were read from 2 values"):
        JUDGE.judge(pa.array([BASE, BASE], pa.binary()))


def test_an_event_longer_than_a_block_of_the_reader_is_read_whole() -> None:
    long = [with_city(b"x" * size) for size in (65_000, 66_000, 200_000, 1_000_000)]
    check([BASE, *long, BASE.replace(b'"t1"', b'"t2"')], True)


def test_the_columns_are_the_contracts_with_their_types() -> None:
    types = {
        "string": pa.string(),
        "decimal": pa.decimal128(20, 4),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
    }
    wanted = [("reasons", pa.list_(pa.string())), *((f.stored_as, types[f.type]) for f in CONTRACT.fields)]
    wanted += [("utc_offset_minutes", pa.int32()), ("unknown_fields", pa.int32())]
    for values in ([], [BASE], [None], [BASE, None]):
        columns = JUDGE.judge(pa.array(values, pa.binary())).columns
        assert columns.schema == pa.schema(wanted)
        assert columns.num_rows == len(values)
        assert JUDGE.judge(pa.array(values, pa.binary())).is_sound.to_pylist() == [
            value is not None for value in values
        ]


def test_every_day_from_1900_to_2099_is_usual_and_no_other() -> None:
    days = {(date(1900, 1, 1) + timedelta(days=n)).isoformat() for n in range(0, 73_049, 9)}
    years = (1900, 1901, 1904, 1999, 2000, 2001, 2024, 2025, 2096, 2099)
    days |= {f"{year}-{month:02}-{day:02}" for year in years for month in range(14) for day in range(34)}
    days |= {f"{year}-02-{day}" for year in range(1896, 2106) for day in (28, 29, 30)}
    days |= {f"{year}-06-15" for year in (0, 1, 1000, 1800, 1899, 2100, 2200, 2999, 9999) if year > 999}

    def is_usual(day: str) -> bool:
        try:
            return 1900 <= date.fromisoformat(day).year <= 2099
        except ValueError:
            return False

    usual = {with_timestamp(f"{day}T10:11:12Z") for day in days if is_usual(day)}
    assert len(usual) > 10_000
    check({with_timestamp(f"{day}T10:11:12Z") for day in days}, usual.__contains__)


def test_every_character_of_unicode_is_usual_in_a_text() -> None:
    whole = [chr(code) for code in range(0x20, 0x110000) if not 0xD800 <= code <= 0xDFFF and chr(code) not in '"\\']
    texts = ["".join(whole[at : at + 2_000]) for at in range(0, len(whole), 2_000)]
    check((with_city(text.encode()) for text in texts), True)
    read = JUDGE.judge(pa.array([with_city(text.encode()) for text in texts], pa.binary())).columns["city"]
    assert read.to_pylist() == texts


@pytest.mark.parametrize("spelling", ["\\u{:04x}", "\\u{:04X}"])
def test_every_escape_of_a_whole_character_is_usual(spelling: str) -> None:
    codes = [code for code in range(1, 0x10000) if not 0xD800 <= code <= 0xDFFF]
    check(
        (with_city("".join(map(spelling.format, codes[at : at + 512])).encode()) for at in range(0, len(codes), 512)),
        True,
    )
    halves = [(high, low) for high in range(0xD800, 0xDC00) for low in (0xDC00, 0xDDAB, 0xDECD, 0xDFFF)]
    halves += [(high, low) for high in (0xD800, 0xDBFF) for low in range(0xDC00, 0xE000)]
    check((with_city((spelling.format(high) + spelling.format(low)).encode()) for high, low in halves), True)
    check([with_city(rb"\" \\ \/ \b \f \n \r \t")], True)
