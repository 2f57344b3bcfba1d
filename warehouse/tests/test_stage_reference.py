"""However events are cut into loads, and whichever path a load takes, silver is what a simple loop says."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from core.layout import CHECKOUT, Layout
from warehouse.load import run_loads

pytestmark = pytest.mark.services
Query = Callable[..., list[tuple[Any, ...]]]

EVENTS = st.builds(
    lambda number, status, amount, reason, partition: payment(
        f"t{number}",
        status,
        amount=Decimal(amount),
        failure_reason=reason if status == "FAILED" else None,
        partition=partition,
    ),
    st.integers(1, 3),
    st.sampled_from(["PENDING", "SUCCESS", "FAILED"]),
    st.sampled_from(["10", "10", "10", "10", "20", "-1"]),
    st.sampled_from(["A", "A", "B"]),
    st.integers(0, 1),
)
DEAD = st.builds(lambda partition: dead_letter(partition=partition), st.integers(0, 1))
COMMITS = st.lists(st.lists(st.one_of(EVENTS, EVENTS, EVENTS, DEAD), max_size=6), min_size=1, max_size=6)


def judge(events: list[dict[str, Any]]) -> dict[tuple[int, int], str]:
    """Take the events one by one, as decision 7 reads."""
    taken: dict[tuple[str, str], dict[str, Any]] = {}
    verdicts = {}
    for event in events:
        transaction, status = event["transaction_id"], event["status"]
        rows = {key[1]: row for key, row in taken.items() if key[0] == transaction}
        reference = next(iter(rows.values()), event)
        final = next((each for each in rows if each != "PENDING"), None)
        if event["amount"] <= 0:
            verdict = "AMOUNT_NOT_POSITIVE"
        elif event["amount"] != reference["amount"]:
            verdict = "CONFLICTING_DUPLICATE" if status in rows else "SETTLEMENT_MISMATCH"
        elif status in rows:
            same = rows[status]["failure_reason"] == event["failure_reason"]
            verdict = "DUPLICATE" if same else "CONFLICTING_DUPLICATE"
        elif status != "PENDING" and final:
            verdict = "CONTRADICTING_STATUS"
        else:
            verdict, taken[transaction, status] = "NEW", event
        verdicts[event["partition"], event["offset"]] = verdict
    return verdicts


def silver(query: Query) -> dict[tuple[int, int], str]:
    rows = query("""
        select partition, "offset", 'NEW' from raw.transactions
        union all select partition, "offset", 'DUPLICATE' from raw.duplicates
        union all select partition, "offset", array_to_string(reasons, ',') from raw.rejected_transactions
    """)
    assert len({row[:2] for row in rows}) == len(rows), "an offset is in two books"
    return {(partition, offset): verdict for partition, offset, verdict in rows}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=COMMITS, limit=st.sampled_from([1, 4, 1000]), data=st.data())
def test_silver_is_what_a_loop_over_the_events_says(
    migrated: OwnDatabase, query: Query, commits: list[list[dict[str, Any]]], limit: int, data: st.DataObject
) -> None:
    migrated.empty()
    with TemporaryDirectory() as home:
        layout = Layout(CHECKOUT, Path(home))
        lake, shadow, delivered = LakeWriter(layout), LakeWriter(layout), []
        for number, commit in enumerate(commits):
            in_order = shadow.deliver(commit)
            delivered += sorted(in_order, key=lambda e: (e["arrived_at"], e["partition"], e["offset"]))
            lake.commit(commit)
            if number == len(commits) - 1 or data.draw(st.booleans(), label="load now"):
                fresh = data.draw(st.booleans(), label="fresh")
                changed = migrated.model_copy(update={"max_rows_per_load": limit})
                run_loads(changed, layout, try_fresh=fresh, say=lambda _: None)
    events = [event for event in delivered if "reasons" not in event]
    assert silver(query) == judge(events)
    dead = query('select partition, "offset" from raw.dead_letters')
    assert sorted(dead) == sorted((e["partition"], e["offset"]) for e in delivered if "reasons" in e)
