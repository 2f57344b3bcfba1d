"""Transactions on the topic: their offsets stand in the books, once the auditor has read them again."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka.admin import ConfigResource
from lake_writer import LakeWriter, payment
from own_database import OwnDatabase
from small_stream import CONTRACT, TOPIC, SmallStream

from control.offsets import topic_id
from control.testing import Handle, transaction
from control.topics import administrator
from core.errors import OutageError, TieoutError
from core.kafka_login import librdkafka_login
from core.layout import Layout
from core.settings import Settings
from warehouse.accept import accept_table
from warehouse.delta_log import table_id
from warehouse.proof import audit_gaps, books, run, run_proof
from warehouse.proof.audit_gaps import _joined

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
Prove = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.services


@pytest.fixture
def settings(database: OwnDatabase, services: Handle) -> OwnDatabase:
    env = services.env
    given = {"kafka_bootstrap": env["KAFKA_BOOTSTRAP"], "kafka_password_auditor": env["KAFKA_PASSWORD_AUDITOR"]}
    named = Settings(**given)
    return database.model_copy(update={name: getattr(named, name) for name in given})


@pytest.fixture
def stream(services: Handle, layout: Layout) -> SmallStream:
    return SmallStream(services.env, layout, topic_id(services.env, TOPIC))


@pytest.fixture
def prove(settings: OwnDatabase, layout: Layout) -> Prove:
    return lambda **options: run_proof(**{"settings": settings, "layout": layout, **options})


def lines(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return E1 of partition 3, where the tests' transactions are: should be, is, kinds without event, verdict."""
    found = [e for e in result["equations"] if e["name"] == "E1" and e["scope"]["partition"] == 3]
    kinds = ({k: e["scope"][k] for k in ("MARKER", "ABORTED") if k in e["scope"]} for e in found)
    return [(e["left"]["count"], e["right"]["count"], k, e["verdict"]) for e, k in zip(found, kinds, strict=True)]


def value(number: int) -> bytes:
    event = {name: held for name, held in payment(f"tx{number}").items() if name not in {"utc_offset_minutes",
             "unknown_fields", "occurred_at", "amount"}}  # fmt: skip
    return json.dumps({**event, "amount": 10.00, "timestamp": "2026-11-19T14:00:00+05:30"}).encode()


def transact(services: Handle, count: int, *, abort: bool = False, first: int = 0) -> None:
    with transaction(services.env, [value(first + n) for n in range(count)], partition=3, abort=abort):
        pass


def forget(services: Handle, end: int) -> None:
    """Let the broker forget the offsets of partition 3 before `end`, as retention does."""
    env = services.env
    admin = AdminClient(librdkafka_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"]))
    [done] = admin.delete_records([TopicPartition(TOPIC, 3, end)]).values()
    done.result(30)


@contextmanager
def compacted(services: Handle) -> Iterator[None]:
    config = dict(CONTRACT.topic.config)
    with administrator(services.env) as admin:
        admin.alter_configs([ConfigResource("TOPIC", TOPIC, {**config, "cleanup.policy": "compact"})])
        try:
            yield
        finally:
            admin.alter_configs([ConfigResource("TOPIC", TOPIC, config)])


def test_committed_payments_are_loaded_and_aborted_ones_are_nowhere_and_both_stand_in_the_books(
    services: Handle, stream: SmallStream, load: Load, prove: Prove, query: Query, settings: OwnDatabase
) -> None:
    forget(services, OFFSET_END)  # what other tests have sent is in no lake of this test
    transact(services, 2)
    transact(services, 1, abort=True, first=2)
    assert stream.drain() == 2
    assert [done["rows_loaded"] for done in load()] == [2]
    assert query("select transaction_id from raw.transactions order by 1") == [("tx0",), ("tx1",)]
    wanted = (5, 5, {"MARKER": 2, "ABORTED": 1}, "OK")
    assert lines(prove()) == [wanted]
    assert lines(prove(full=True)) == [wanted]
    deep = lines(prove(deep=True))
    assert deep == [wanted, (2, 2, {}, "OK")]
    assert query("select count(*) from metadata.explained_offsets") == [(1,)]
    away = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    assert lines(prove(settings=away)) == [wanted], "it is not read again"


def test_what_was_shown_stays_shown_when_kafka_forgets_it_and_is_brought_forward(
    services: Handle, stream: SmallStream, load: Load, prove: Prove, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "LOADS_SHOWN", 1)  # older loads are brought forward
    for number in range(5):
        transact(services, 1, abort=number % 2 == 0, first=number)
        transact(services, 1, first=10 + number)
        stream.drain()
        load()
    wanted = (20, 20, {"MARKER": 10, "ABORTED": 3}, "OK")
    assert lines(prove()) == [wanted]
    assert query("select load_id > 0 from metadata.proof_forward") == [(True,)]
    forget(services, query("select max(end_offset) from metadata.load_offsets where partition = 3")[0][0])
    assert lines(prove()) == [wanted]
    assert lines(prove(full=True)) == [wanted]


def test_what_kafka_forgets_before_the_auditor_has_read_it_stays_different(
    services: Handle, stream: SmallStream, load: Load, prove: Prove, query: Query
) -> None:
    transact(services, 1)
    transact(services, 1, abort=True, first=1)
    stream.drain()
    load()
    start = query("select start_offset from metadata.load_offsets where partition = 3")[0][0]
    forget(services, start + 2)
    result = prove(explain=True)
    assert lines(result) == [(4, 3, {"MARKER": 1, "ABORTED": 1}, "DIFFERENT")] * 2
    named = [item["offset"] for each in result["explained"] if each["name"] == "E1" for item in each["items"]]
    assert set(named) == {start + 1}


def test_without_the_broker_nothing_is_proven_of_what_was_not_read_again(
    services: Handle, stream: SmallStream, load: Load, prove: Prove, settings: OwnDatabase, query: Query
) -> None:
    transact(services, 1)
    stream.drain()
    load()
    with pytest.raises(OutageError, match="kafka does not answer"):
        prove(settings=settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"}))
    assert query("select distinct verdict from metadata.proof") == [("OPEN",)]


def test_an_event_that_the_stream_calls_a_gap_is_different(
    services: Handle, stream: SmallStream, load: Load, prove: Prove
) -> None:
    transact(services, 3)
    stream.passes_over = 1
    stream.drain()
    load()
    assert lines(prove()) == [(4, 3, {"MARKER": 1}, "DIFFERENT")] * 2


def test_of_a_compacted_topic_no_record_is_no_sign_of_a_marker(
    services: Handle, stream: SmallStream, load: Load, prove: Prove
) -> None:
    transact(services, 1)
    transact(services, 1, abort=True, first=1)
    stream.drain()
    load()
    with compacted(services):
        assert lines(prove())[0] == (4, 2, {"ABORTED": 1}, "DIFFERENT")
    assert lines(prove()) == [(4, 4, {"MARKER": 2, "ABORTED": 1}, "OK")]


def test_gaps_of_a_topic_that_was_made_anew_are_not_looked_for_in_the_new_one(
    services: Handle, layout: Layout, load: Load, prove: Prove
) -> None:
    stream = SmallStream(services.env, layout, "another-topic")
    transact(services, 1)
    stream.drain()
    load()
    assert lines(prove()) == [(2, 1, {}, "DIFFERENT")] * 2


def test_a_load_that_commits_while_older_gaps_are_read_again_is_in_the_same_proof(
    services: Handle, stream: SmallStream, load: Load, prove: Prove, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain, loads = run.explain_missing, iter(range(2))

    def explain_and_load(*given: Any) -> set[int]:
        asked = explain(*given)
        for number in islice(loads, 1):
            transact(services, 1, first=number + 10)
            stream.drain()
            load()
        return asked

    monkeypatch.setattr(run, "explain_missing", explain_and_load)
    transact(services, 1)
    stream.drain()
    load()
    assert lines(prove()) == [(6, 6, {"MARKER": 3}, "OK")]


def test_between_joined_spans_only_the_offsets_that_are_asked_about_are_kept(
    services: Handle, stream: SmallStream, settings: OwnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    records = audit_gaps._records

    def counting(*given: Any) -> dict[int, set[int]]:
        found = records(*given)
        kept.extend(map(len, found.values()))
        return found

    monkeypatch.setattr(audit_gaps, "_records", counting)
    begin = stream._next[3]
    transact(services, 50)
    stream.drain()
    found = audit_gaps.read_again(
        settings, CONTRACT, stream._topic_id, {3: [(begin, begin + 1), (begin + 50, begin + 51)]}
    )
    assert found[3].count == (1, 0)
    assert kept == [1, 1]


def test_an_aborted_transaction_alone_is_a_load(
    services: Handle, stream: SmallStream, load: Load, prove: Prove
) -> None:
    transact(services, 2, abort=True)
    assert stream.drain() == 0
    assert [done["rows_read"] for done in load()] == [0]
    assert load() == []
    assert lines(prove()) == [(3, 3, {"MARKER": 1, "ABORTED": 2}, "OK")]


def test_what_the_lake_passed_and_no_load_has_is_read_again_by_a_full_proof(
    services: Handle, stream: SmallStream, load: Load, prove: Prove, query: Query
) -> None:
    transact(services, 1)
    stream.drain()
    load()
    transact(services, 1, abort=True, first=1)
    transact(services, 1, first=2)
    stream.drain()
    whole, waiting = lines(prove(full=True))
    assert whole == (6, 6, {"MARKER": 3, "ABORTED": 1}, "OK")
    assert waiting[3] == "OPEN"
    assert query("select count(*) from metadata.explained_offsets") == [(1,)], "the load that passes it writes it down"


def test_a_load_refuses_rows_and_gaps_that_do_not_add_up(lake: LakeWriter, load: Load) -> None:
    lake.commit([payment("a"), payment("b")], gaps={"0": 1})
    with pytest.raises(TieoutError, match="1 offsets to 2 are to be loaded"):
        load()


def test_a_payment_of_an_aborted_transaction_that_is_in_the_lake_is_found_by_deep(
    services: Handle, stream: SmallStream, load: Load, prove: Prove
) -> None:
    stream.isolation = "read_uncommitted"
    forget(services, stream._next[3])
    transact(services, 1)
    transact(services, 1, abort=True, first=1)
    stream.drain()
    load()
    assert lines(prove(deep=True)) == [(4, 4, {"MARKER": 2}, "OK"), (1, 2, {}, "DIFFERENT")]


def test_a_bronze_that_was_made_anew_has_the_same_gaps_and_they_count_once(
    services: Handle, stream: SmallStream, layout: Layout, load: Load, prove: Prove, query: Query, settings: OwnDatabase
) -> None:
    begin = dict(stream._next)
    transact(services, 2)
    transact(services, 1, abort=True, first=2)
    stream.drain()
    load()
    assert lines(prove()) == [(5, 5, {"MARKER": 2, "ABORTED": 1}, "OK")]
    lake = stream.writer.lake
    for table in lake.tables:
        table.remove()
    stream._next = begin
    stream.drain()
    query("delete from metadata.load_watermark where lake_table = 'dead_letter_queue'")
    accept_table(table_id(lake.bronze), "bronze was deleted", settings=settings, layout=layout)
    assert [done["already_loaded"] for done in load()] == [2]
    wanted = (5, 5, {"MARKER": 2, "ABORTED": 1}, "OK")
    assert lines(prove()) == lines(prove(full=True)) == [wanted]
    assert query("select count(*) from metadata.missing_offsets") == [(1,)]


def test_spans_that_are_close_are_read_as_one_and_empty_ones_not_at_all() -> None:
    spans = [(5, 5), (10, 12), (13, 14), (9_000, 9_001)]
    assert [span for _, span in _joined("p", spans)] == [(10, 14), (9_000, 9_001)]
