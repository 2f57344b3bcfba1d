"""What a value may hold at most is the contract's word, and no parser's or caller's stack."""

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.entities import load_entity
from contracts.model import PAYMENTS, JsonLimits
from contracts.verdict import Verdict, judge

CONTRACT = load_entity(PAYMENTS)
LIMITS = CONTRACT.platform.json_limits
EXAMPLE = {field.name: field.example for field in CONTRACT.fields}
BASE = json.dumps(EXAMPLE).encode()[:-1]
LEVELS, DIGITS, CHARACTERS = LIMITS.nesting_levels - 1, LIMITS.number_digits, LIMITS.key_characters
MALFORMED = frozenset({"MALFORMED_JSON"})

AT_A_LIMIT: dict[str, Callable[[int], bytes]] = {
    "arrays": lambda more: b'"n":' + b"[" * (LEVELS + more) + b"]" * (LEVELS + more),
    "arrays after others": lambda more: b'"n":[[],[],' + b"[" * (LEVELS - 1 + more) + b"]" * (LEVELS + more),
    "objects": lambda more: b'"n":' + b'{"a":' * (LEVELS + more) + b"1" + b"}" * (LEVELS + more),
    "objects with an escape": lambda more: b'"n":' + b'{"a":' * (LEVELS + more) + rb'"\u0041"' + b"}" * (LEVELS + more),
    "digits": lambda more: b'"n":' + b"9" * (DIGITS + more),
    "digits behind a sign": lambda more: b'"n":-' + b"9" * (DIGITS + more),
    "digits of a fraction": lambda more: b'"n":-0.' + b"9" * (DIGITS + more),
    "zeros of a fraction": lambda more: b'"n":0.' + b"0" * (DIGITS + more),
    "digits of an exponent": lambda more: b'"n":1e-' + b"0" * (DIGITS - 1 + more),
    "digits of all three": lambda more: b'"n":12.' + b"9" * (DIGITS - 4 + more) + b"e+10",
    "digits in a list": lambda more: b'"n":[1,{"a":' + b"9" * (DIGITS + more) + b"}]",
    "a key": lambda more: b'"' + b"k" * (CHARACTERS + more) + b'":1',
    "a key before blanks": lambda more: b'"' + b"k" * (CHARACTERS + more) + b'" \r\n\t:1',
    "a key of escapes": lambda more: b'"' + rb"\u0041" * (CHARACTERS + more) + b'":1',
    "a key of other letters": lambda more: b'"' + "é".encode() * (CHARACTERS + more) + b'":1',
    "a key of emoji": lambda more: b'"' + "\U0001f600".encode() * (CHARACTERS // 2 + more) + b'":1',
    "a key of escaped emoji": lambda more: b'"' + rb"\ud83d\ude00" * (CHARACTERS // 2 + more) + b'":1',
    "a key within": lambda more: b'"n":[{"' + b"k" * (CHARACTERS + more) + b'":1}]',
}


def with_more(more: bytes) -> bytes:
    return BASE + b"," + more + b"}"


def judged_within(frames: int, value: bytes) -> Verdict:
    """Judge with a stack that is full to some depth."""
    return judged_within(frames - 1, value) if frames else judge(value, CONTRACT)


@pytest.mark.parametrize("name", AT_A_LIMIT)
def test_a_value_at_a_limit_is_sound_and_one_beyond_it_is_malformed(name: str) -> None:
    assert judge(with_more(AT_A_LIMIT[name](0)), CONTRACT).reasons == frozenset()
    assert judge(with_more(AT_A_LIMIT[name](1)), CONTRACT).reasons == MALFORMED


@pytest.mark.parametrize(
    ("limits", "at", "beyond"),
    [
        (JsonLimits(4, 1_000, 50_000), b'"n":[{"a":[]}]', b'"n":[{"a":[[]]}]'),
        (JsonLimits(4, 1_000, 50_000), b'"n":[[[]]]', b'"n":[[[[]]]]'),
        (JsonLimits(4, 1_000, 50_000), b'"n":{"a":{"a":{}}}', b'"n":{"a":{"a":{"a":{}}}}'),
        (JsonLimits(500, 20, 50_000), b'"n":12345678901234567890', b'"n":123456789012345678901'),
        (JsonLimits(500, 1_000, 20), b'"abcdefghijabcdefghij":1', b'"abcdefghijabcdefghijk":1'),
    ],
)
def test_other_limits_hold_for_short_values_too(limits: JsonLimits, at: bytes, beyond: bytes) -> None:
    entity = replace(CONTRACT, platform=replace(CONTRACT.platform, json_limits=limits))
    assert judge(with_more(at), entity).reasons == frozenset()
    assert judge(with_more(beyond), entity).reasons == MALFORMED


@pytest.mark.parametrize("name", ["arrays", "objects", "objects with an escape"])
def test_the_callers_stack_does_not_change_the_verdict(name: str) -> None:
    room = sys.getrecursionlimit() - len(inspect.stack()) - 50
    assert room > 500
    for frames in range(0, room, 100):
        assert judged_within(frames, with_more(AT_A_LIMIT[name](0))).reasons == frozenset()
        assert judged_within(frames, with_more(AT_A_LIMIT[name](1))).reasons == MALFORMED


def test_what_stands_within_a_text_is_beyond_no_limit() -> None:
    for text in (b"[" * 5_000, b"9" * 5_000, b"k" * 60_000, rb"\"[" * 5_000, rb"\\" * 5_000, rb"\"9" * 5_000):
        assert judge(with_more(b'"n":"' + text + b'"'), CONTRACT).reasons == frozenset()
        assert judge(with_more(b'"n":["' + text + b'"]'), CONTRACT).reasons == frozenset()
        assert judge(with_more(b'"n":["","' + text + b'"]'), CONTRACT).reasons == frozenset()


def test_levels_beside_each_other_do_not_add_up() -> None:
    assert judge(with_more(b'"n":[' + b"[[]]," * 5_000 + b"{}]"), CONTRACT).reasons == frozenset()


def test_half_a_character_is_found_at_any_depth_and_in_a_key() -> None:
    deep = b'"n":' + b'{"a":' * LEVELS + rb'"\ud83d"' + b"}" * LEVELS
    for more in (deep, rb'"\ud83d":1', rb'"n":{"\ude00":1}', b'"n":1,' + deep):
        assert judge(with_more(more), CONTRACT).reasons == MALFORMED
    assert judge(with_more(rb'"n":"\ud83d\ude00","m":"\\ud83d"'), CONTRACT).reasons == frozenset()


@given(st.text(alphabet='[]{}",:\\u0019eE.-+ kd8', max_size=60).map(lambda text: text * 40))
def test_a_text_of_json_s_own_characters_gets_a_verdict(text: str) -> None:
    assert judge(text.encode(), CONTRACT).reasons
    assert isinstance(judge(with_more(b'"n":' + text.encode()), CONTRACT), Verdict)


@pytest.mark.timeout(120)  # a scan that begins anew at every quote takes hours
def test_a_hostile_value_is_read_once() -> None:
    for value in (b'\\"' * 500_000, b'"' * 1_000_000, b'{"a":"' + b"\\" * 1_000_000, (b"1" * 1_000 + b"x") * 1_000):
        assert judge(value, CONTRACT).reasons == MALFORMED
