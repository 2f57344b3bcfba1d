"""Whatever stands on the topic of control totals, a load takes it or passes it over; no message stops the loads."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from own_database import OwnDatabase

from contracts.control_total import ControlTotalError, parse_control_total, sender_of
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from warehouse import control_totals
from warehouse.settle import Ends

CONTRACT = load_entity(PAYMENTS)
SOUND = {
    "control_total": 1, "run": "r", "seq": 3, "closed": True, "amounts": {"INR": {"count": 1, "amount": "1.00"}},
    "broken": {"NULL_VALUE": 1}, "last_offsets": {"0": 2}, "topic_id": "t", "contract": "1.0.0",
    "sent_at": "2026-11-21T10:00:00+00:00",
}  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=()), max_size=5) | st.sampled_from(["\0", "\ud800", "x\0", "INR"])
WHOLE = st.integers(-1, 2**64) | st.integers(0, 5)
AMOUNT = st.sampled_from(["1e999999", "0e99999", "-0", "1E-400", "NaN", "9" * 40, "0.00001"]) | st.decimals().map(str)
MOMENT = st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-21T10:00:00+00:00:00.01"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "run": TEXT,
    "seq": WHOLE,
    "amounts": st.dictionaries(TEXT, st.fixed_dictionaries({"count": st.integers(0, 1), "amount": AMOUNT}), max_size=2),
    "broken": st.dictionaries(TEXT, WHOLE, max_size=2),
    "last_offsets": st.dictionaries(WHOLE.map(str), WHOLE, max_size=2),
    "topic_id": TEXT,
    "contract": TEXT,
    "sent_at": MOMENT,
}


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    changed = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2, unique=True))
    return json.dumps(SOUND | {name: draw(FIELDS[name]) for name in changed}).encode()


@pytest.fixture(scope="module")
def loader(migrated: OwnDatabase) -> Iterator[psycopg.Connection[Any]]:
    with migrated.connect("loader") as connection:
        yield connection


@pytest.mark.services
@settings(max_examples=300, deadline=None)
@given(message=messages())
@example(message=json.dumps(SOUND | {"contract": "1\0"}).encode())
@example(message=json.dumps(SOUND | {"broken": {"\0": 1}}).encode())
@example(message=json.dumps(SOUND | {"run": "\ud800"}).encode())
@example(message=json.dumps(SOUND | {"last_offsets": {"99999999999": 1}}).encode())
def test_any_message_is_a_total_that_the_database_takes_or_none(
    loader: psycopg.Connection[Any], message: bytes
) -> None:
    try:
        total = parse_control_total(message)
    except ControlTotalError:
        return
    with loader.transaction(force_rollback=True):
        row = loader.execute("insert into metadata.load_audit (status) values ('RUNNING') returning load_id").fetchone()
        assert row is not None
        sender = sender_of(total.run, CONTRACT.platform.control_topics)
        ends = Ends(loader, None, {})
        taken = control_totals.write_control_totals(loader, row[0], CONTRACT, sender, [total], arrived=(), ends=ends)
        assert (taken.runs, taken.foreign, taken.refused) == ({total.run}, 0, 0)
        loader.execute("select (each.key)::int, each.value::bigint + 1 from metadata.control_totals, "
                       "jsonb_each_text(last_offsets) each").fetchall()  # fmt: skip
        for money in (total.amounts or {}).values():
            assert loader.execute("select %s::numeric(38,4)", [money.amount]).fetchone() == (money.amount,)


def test_a_sound_total_is_taken() -> None:
    assert parse_control_total(json.dumps(SOUND).encode()).run == "r"
