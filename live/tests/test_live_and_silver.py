"""Whatever is sent, the live view and the way to silver say the same of it: kind, reasons, amount, times, hash.

One side reads messages as the engine does. The other judges them as the stream does, stores what is sound in a Parquet
file with bronze's columns, and asks the loader's views.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_values import BASE, DOCUMENTS, GOOD, every_field_with_every_token, mutations, random_values
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_writer import BRONZE_SCHEMA
from live_events import ARRIVED, READER, TOPIC

from contracts.entities import load_entity
from contracts.headers import HEADERS, header_columns
from contracts.judge import Judge
from contracts.model import PAYMENTS
from contracts.rules import HAS_FEED
from live.events import EPOCH, Event, Headers, Kind, Message, Place
from warehouse.read import open_workspace, view_events

CONTRACT = load_entity(PAYMENTS)
MICROSECOND = timedelta(microseconds=1)
MADE = b"2025-11-21T10:11:12+05:30"
HEADER_SETS: tuple[Headers, ...] = (
    (),
    (("run", b"feed-1"), ("seq", b"7"), ("status_at", MADE), ("contract", b"1.1.0")),
    (("run", b"feed-1"), ("seq", b"8"), ("status_at", b"2026-11-21T12:00:00Z"), ("redrive-of", b"3:12")),
    (("run", b"feed-2"), ("run", b"feed-1"), ("seq", b"0"), ("status_at", b"2026-11-21T12:00:00.000001Z")),
    (("run", b"(none)"), ("seq", b"9" * 18), ("status_at", b"2025-11-21T04:41:11.999999Z"), ("redrive-of", b"")),
    (("run", b"\xff"), ("seq", b"x"), ("status_at", b"yesterday"), ("redrive-of", b"a\x00")),
    (("run", b"x" * 200), ("seq", b"9" * 19), ("status_at", b"0001-01-01T00:00:00Z"), ("redrive-of", b"x" * 201)),
    (("run", b""), ("seq", b"1"), ("status_at", b"9999-12-31T23:59:59.999999Z"), ("redrive-of", None)),
)
# The values of the public case "two JSON parsers", at the contract's limits and beyond.
TWO_PARSERS = tuple(
    BASE[:-1] + more + b"}"
    for more in (
        b', "' + b"k" * 60_000 + b'": 1',
        b', "n": ' + b"[" * 996 + b"]" * 996,
        b', "n": ' + b"[" * 499 + b"]" * 499,
        b', "n": 1',
    )
)


def messages(values: Iterable[bytes | None], dice: random.Random) -> list[Message]:
    """Return messages in their order, some of which arrive earlier than they say they were made."""
    return [
        Message(
            Place(TOPIC, 0, offset),
            dice.choice((ARRIVED, ARRIVED + timedelta(milliseconds=offset), ARRIVED - timedelta(days=365))),
            value,
            dice.choice(HEADER_SETS),
        )
        for offset, value in enumerate(values)
    ]


def said_by_live(event: Event) -> tuple[Any, ...]:
    assert event.kind is not Kind.UNJUDGED
    if event.kind is Kind.DEAD:
        return event.kind, set(event.reasons)
    times = [(each - EPOCH) // MICROSECOND for each in (event.occurred_at, event.status_at) if each is not None]
    identity = event.identity_hash.bytes if event.identity_hash else b""
    feed = (event.feed, event.seq if event.feed else 0, event.redrive_of)
    texts = {name: event.maybe(name) for name in ("transaction_id", "status", "currency", "city", "is_fraud")}
    return event.kind, set(event.reasons), event.amount, *times, event.utc_offset_minutes, identity, *feed, texts


def said_by_silver(workspace: Any, folder: Path, sent: Sequence[Message]) -> list[tuple[Any, ...]]:
    judged = Judge(CONTRACT).judge(pa.array([each.value for each in sent], pa.binary()))
    columns = dict(zip(judged.columns.schema.names, judged.columns, strict=True))
    columns |= header_columns(pa.array([each.headers for each in sent], HEADERS))
    columns |= {"arrived_at": pa.array([each.arrived_at for each in sent]), "topic_id": pa.array([TOPIC] * len(sent))}
    columns |= {"offset": pa.array([each.place.offset for each in sent]), "partition": pa.array([0] * len(sent))}
    schema = pa.schema([field for field in BRONZE_SCHEMA if field.name in columns])
    # A file of the lake never changes, and the loader's DuckDB keeps what it has read of one.
    file = folder / f"{uuid4()}.parquet"
    pq.write_table(pa.table(columns).filter(judged.is_sound).select(schema.names).cast(schema), file)
    view_events(workspace, CONTRACT, f"read_parquet('{file}')")
    rows = workspace.execute(f"""
        select "offset", reasons, amount, epoch_us(occurred_at), epoch_us(status_at), utc_offset_minutes, identity_hash,
            case when {HAS_FEED} then run end, case when {HAS_FEED} then seq else 0 end, redrive_of,
            {{'transaction_id': transaction_id, 'status': status, 'currency': currency, 'city': city,
              'is_fraud': is_fraud}}
        from events
    """).fetchall()
    stored = {offset: (set(filter(None, broken.split(","))), *rest) for offset, broken, *rest in rows}
    reasons = columns["reasons"].to_pylist()
    assert len(stored) == sum(not each for each in reasons)
    file.unlink()
    return [
        (Kind.DEAD, set(why)) if why else (Kind.REJECTED if stored[at][0] else Kind.SOUND, *stored[at])
        for at, why in enumerate(reasons)
    ]


@pytest.fixture(scope="module")
def silver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("bronze")
    with open_workspace(folder / "spill", "256MB") as workspace:
        yield lambda sent: said_by_silver(workspace, folder, sent)


def check(silver: Any, sent: Sequence[Message], dice: random.Random) -> list[tuple[Any, ...]]:
    """Read messages in polls of any size; return what both sides say of them."""
    found: list[Event] = []
    while len(found) < len(sent):
        found += READER.read(sent[len(found) : len(found) + dice.choice((1, 7, 200, 2_000))])
    assert [each.place for each in found] == [each.place for each in sent]
    live, wanted = [said_by_live(each) for each in found], silver(sent)
    wrong = [(m, one, other) for m, one, other in zip(sent, live, wanted, strict=True) if one != other]
    assert not wrong, f"{len(wrong)} of {len(sent)}, first: {wrong[0]}"
    return live


def test_generated_and_mutated_events_are_to_live_what_they_are_to_silver(silver: Any) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    values: list[bytes | None] = [BASE, *DOCUMENTS, *every_field_with_every_token()]
    values += [*mutations(dice, 6_000), *random_values(dice, 2_000)]
    dice.shuffle(values)
    said = check(silver, messages(values, dice), dice)
    kinds = [each[0] for each in said]
    assert min(kinds.count(kind) for kind in (Kind.DEAD, Kind.REJECTED, Kind.SOUND)) > 500
    never = ("_TOO_LONG", "FAILURE_REASON_MISSING")
    wanted = {rule.code for rule in CONTRACT.rules if rule.scope == "event" and not rule.code.endswith(never)}
    assert {reason for each in said for reason in each[1]} >= wanted


BLANK = "\u00a0\u200b\u2003 \t"
STRANGE = st.sampled_from(
    [None, "", " ", BLANK, "\u00e9" * 320, "\U0001f600" * 64, "x" * 64, "x" * 65, "x" * 101, "x" * 201, "a\u0301", "-"]
)
OTHER: dict[str, st.SearchStrategy[Any]] = {
    "amount": st.sampled_from([0, -1, -0.0, 0.01, 12.3, 107.25, 9999999999999]),
    "is_fraud": st.sampled_from([True, False, None]),
    "timestamp": st.sampled_from(
        ["2026-11-21T12:00:00Z", "2026-11-21T12:00:00.000001Z", "1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00Z",
         "2026-11-20T11:00:00.050000+05:30", "2026-11-20T11:00:00.123456-03:30"]
    ),
}  # fmt: skip
WORDS = {f.name: st.sampled_from([*f.enum, "success", "XXX", None]) for f in CONTRACT.fields if f.enum}
FIELDS: dict[str, st.SearchStrategy[Any]] = {field.name: STRANGE for field in CONTRACT.fields}
EVENTS = st.fixed_dictionaries({}, optional=FIELDS | WORDS | OTHER).map(lambda other: json.dumps(GOOD | other).encode())


@settings(max_examples=100, deadline=None)
@given(values=st.lists(EVENTS | st.sampled_from(TWO_PARSERS), min_size=1, max_size=20), dice=st.randoms())
def test_strange_texts_amounts_and_times_are_to_live_what_they_are_to_silver(
    silver: Any, values: list[bytes], dice: random.Random
) -> None:
    check(silver, messages(values, dice), dice)


def test_the_contracts_limits_hold_for_both(silver: Any) -> None:
    said = check(silver, messages(TWO_PARSERS, random.Random(1)), random.Random(1))
    assert [each[0] for each in said] == [Kind.DEAD, Kind.DEAD, Kind.SOUND, Kind.SOUND]
