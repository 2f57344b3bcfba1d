"""However events are cut into loads, and whichever path a load takes, silver is what a simple loop says.

The same stream of statuses is sent as payments and as refunds.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake_writer import FIRST_ARRIVAL, LakeWriter, dead_letter, payment, refund
from own_database import OwnDatabase

from contracts.entities import load_entities
from contracts.model import PAYMENTS, Entity
from core.layout import CHECKOUT, Layout
from warehouse.load import run_loads

pytestmark = pytest.mark.services
Query = Callable[..., list[tuple[Any, ...]]]

ENTITIES = load_entities()
TOPICS = {entity.name: f"topic-of-{entity.name}" for entity in ENTITIES}
EVENTS = st.builds(
    lambda number, status, amount, reason, partition, run, seq, second: {
        "key": f"t{number}",
        "status": status,
        "amount": Decimal(amount),
        "failure_reason": reason if status == "FAILED" else None,
        "partition": partition,
        "run": run,
        "seq": seq,
        "arrived_at": FIRST_ARRIVAL + timedelta(seconds=second),
    },
    st.integers(1, 3),
    st.sampled_from(["PENDING", "SUCCESS", "FAILED"]),
    st.sampled_from(["10", "10", "10", "10", "20", "-1"]),
    st.sampled_from(["A", "A", "B"]),
    st.integers(0, 1),
    st.sampled_from(["feed-1", "feed-1", "feed-2", None, "(none)", "x" * 201]),
    st.sampled_from([1, 2, 3, 4, None]),
    st.integers(0, 2),  # many arrive at one moment
)
DEAD = st.builds(lambda partition: dead_letter(partition=partition), st.integers(0, 1))
COMMITS = st.lists(st.lists(st.one_of(EVENTS, EVENTS, EVENTS, DEAD), max_size=6), min_size=1, max_size=6)


def of_entity(entity: Entity, sent: dict[str, Any]) -> dict[str, Any]:
    """Return what was sent as an event of an entity."""
    if "reasons" in sent:
        return sent
    event = {**sent}
    key, status = event.pop("key"), event.pop("status")
    if entity.name == PAYMENTS:
        return payment(key, status, **event)
    del event["failure_reason"]  # a refund has none: nothing but the status differs
    return refund(key, status, **event)


def in_order(entity: Entity, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one load's events in the order of decision 32; no two have the same place in it."""

    def arrival(event: dict[str, Any]) -> tuple[Any, ...]:
        return event["arrived_at"], event["partition"], event["offset"]

    def feed(event: dict[str, Any]) -> tuple[Any, ...] | None:
        has_feed = event["run"] in ("feed-1", "feed-2") and event["seq"]
        return (event[entity.key], event["run"]) if has_feed else None

    first: dict[Any, tuple[Any, ...]] = {}
    for event in events:
        first[feed(event)] = min(first.get(feed(event), arrival(event)), arrival(event))

    def place(event: dict[str, Any]) -> tuple[Any, ...]:
        if feed(event) is None:
            return arrival(event), 0, arrival(event)
        return first[feed(event)], event["seq"], arrival(event)

    assert len({place(event) for event in events}) == len(events)
    return sorted(events, key=place)


def judge(entity: Entity, loads: list[list[dict[str, Any]]]) -> dict[tuple[int, int], str]:
    """Take the events one by one, as decision 7 reads."""
    taken: dict[tuple[str, str], dict[str, Any]] = {}
    verdicts = {}
    for event in (event for load in loads for event in in_order(entity, load)):
        key, status = event[entity.key], event["status"]
        rows = {there[1]: row for there, row in taken.items() if there[0] == key}
        reference = next(iter(rows.values()), event)
        final = next((each for each in rows if each != "PENDING"), None)
        if event["amount"] <= 0:
            verdict = "AMOUNT_NOT_POSITIVE"
        elif event["amount"] != reference["amount"]:
            verdict = "CONFLICTING_DUPLICATE" if status in rows else "SETTLEMENT_MISMATCH"
        elif status in rows:
            same = rows[status].get("failure_reason") == event.get("failure_reason")
            verdict = "DUPLICATE" if same else "CONFLICTING_DUPLICATE"
        elif status != "PENDING" and final:
            verdict = "CONTRADICTING_STATUS"
        else:
            verdict, taken[key, status] = "NEW", event
        verdicts[event["partition"], event["offset"]] = verdict
    return verdicts


def silver(query: Query, entity: Entity) -> dict[tuple[int, int], str]:
    rows = query(f"""
        select partition, "offset", 'NEW' from {entity.silver}
        union all select partition, "offset", 'DUPLICATE' from {entity.duplicates}
        union all select partition, "offset", array_to_string(reasons, ',') from {entity.rejected}
    """)
    assert len({row[:2] for row in rows}) == len(rows), "an offset is in two books"
    return {(partition, offset): verdict for partition, offset, verdict in rows}


def loads_of(query: Query, entity: Entity, events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the events by the load that took them, in the loads' order."""
    taken = {
        (partition, offset): load_id
        for partition, offset, load_id in query(f"""
            select partition, "offset", load_id from {entity.silver}
            union all select partition, "offset", load_id from {entity.duplicates}
            union all select partition, "offset", load_id from {entity.rejected}
        """)
    }
    by_load: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        by_load.setdefault(taken[event["partition"], event["offset"]], []).append(event)
    return [by_load[load_id] for load_id in sorted(by_load)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=COMMITS, limit=st.sampled_from([1, 4, 1000]), data=st.data())
def test_silver_is_what_a_loop_over_the_events_says(
    migrated: OwnDatabase, query: Query, commits: list[list[dict[str, Any]]], limit: int, data: st.DataObject
) -> None:
    migrated.empty()
    with TemporaryDirectory() as home:
        layout = Layout(CHECKOUT, Path(home))
        lakes, shadows = ([LakeWriter(layout, TOPICS[e.name], e) for e in ENTITIES] for _ in range(2))
        delivered: dict[str, list[dict[str, Any]]] = {entity.name: [] for entity in ENTITIES}
        for number, commit in enumerate(commits):
            for lake, shadow in zip(lakes, shadows, strict=True):
                events = [of_entity(lake.entity, sent) for sent in commit]
                delivered[lake.entity.name] += shadow.deliver(events)
                lake.commit(events)
            if number == len(commits) - 1 or data.draw(st.booleans(), label="load now"):
                fresh = data.draw(st.booleans(), label="fresh")
                changed = migrated.model_copy(update={"max_rows_per_load": limit})
                run_loads(changed, layout, try_fresh=fresh, say=lambda _: None)
    for entity in ENTITIES:
        came = delivered[entity.name]
        events = [event for event in came if "reasons" not in event]
        assert silver(query, entity) == judge(entity, loads_of(query, entity, events))
        dead = query('select partition, "offset" from raw.dead_letters where topic_id = %s', TOPICS[entity.name])
        assert sorted(dead) == sorted((e["partition"], e["offset"]) for e in came if "reasons" in e)


SENT = st.lists(
    st.tuples(
        st.integers(1, 2), st.sampled_from(["PENDING", "SUCCESS", "FAILED"]), st.sampled_from(["10", "10", "20", "-1"])
    ),
    min_size=2,
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=SENT, data=st.data())
def test_however_a_feed_s_events_reach_their_partitions_a_load_of_them_gives_the_same_silver(
    migrated: OwnDatabase, query: Query, sent: list[tuple[int, str, str]], data: st.DataObject
) -> None:
    feed = [
        payment(f"t{number}", status, amount=Decimal(amount), run="feed-1", seq=seq)
        for seq, (number, status, amount) in enumerate(sent, 1)
    ]
    seen = []
    for _ in range(2):
        migrated.empty()
        arriving = data.draw(st.permutations(feed), label="as they arrive")
        partitions = data.draw(st.lists(st.integers(0, 2), min_size=len(feed), max_size=len(feed)))
        cut = data.draw(st.integers(0, len(feed)), label="commits")
        delivered = [event | {"partition": partition} for event, partition in zip(arriving, partitions, strict=True)]
        with TemporaryDirectory() as home:
            layout = Layout(CHECKOUT, Path(home))
            lake = LakeWriter(layout)
            for commit in (delivered[:cut], delivered[cut:]):
                lake.commit(commit)
            run_loads(migrated, layout, try_fresh=data.draw(st.booleans(), label="fresh"), say=lambda _: None)
        seen.append(
            query("""
                select seq, 'NEW' from raw.transactions union all select seq, 'DUPLICATE' from raw.duplicates
                union all select seq, array_to_string(reasons, ',') from raw.rejected_transactions order by 1
            """)
        )
    assert seen[0] == seen[1]
    assert len(seen[0]) == len(feed)
