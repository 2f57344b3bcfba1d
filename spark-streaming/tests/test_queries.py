"""One stream serves every entity, each exactly once, and no module of it names what is one entity's own."""

import io
import re
import signal
import time
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from deltalake import DeltaTable
from real_stream import ended, stream

import spark_streaming
from contracts.entities import load_entities, load_entity
from contracts.event_json import to_json
from contracts.faults import HEAVY, fault_kinds, sound_event
from contracts.model import Entity
from control.catching_up import behind, stream_is_ready
from control.offsets import end_offsets, topic_id
from control.stations import read_stations
from control.testing import Handle, temporary_platform
from core.errors import RefusalError, TieoutError
from core.kafka_login import librdkafka_login
from core.lake import Lake
from core.places import LocalPlace
from spark_streaming.broker import TopicState
from spark_streaming.failed_entities import read_failed
from spark_streaming.start import Acceptance, Loss, open_lake
from spark_streaming.tables import stream_tables

OF_PAYMENTS = re.compile(
    r"raw.transactions|rejected_transactions|raw.duplicates|raw_transactions|topics\[\"transactions\"\]"
    r"|fact_transactions|daily_revenue|transaction_id|PENDING|payment_method|merchant_category|is_fraud"
)


@pytest.fixture(scope="module")
def services() -> Iterator[Handle]:
    """A broker whose topics hold these tests' events alone."""
    with temporary_platform() as handle:
        yield handle


def send(env: dict[str, str], entity: Entity, sound: int) -> Counter[str]:
    """Send sound events, and one for each malformed kind; return how often each reason must be given."""
    producer = Producer(librdkafka_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"]))
    event, malformed = sound_event(entity), {rule.code for rule in entity.rules if rule.kind == "malformed"}
    for number in range(sound):
        producer.produce(entity.topic.name, to_json({**event, entity.key: f"k{number}"}), f"c{number}")
    kinds = {code: fault for code, fault in fault_kinds(entity).items() if code in malformed - HEAVY}
    for code, fault in kinds.items():
        broken = fault(event, 0)
        value = to_json(broken) if isinstance(broken, dict) else broken
        producer.produce(entity.topic.name, value, code)
    assert producer.flush(60) == 0
    return Counter(list(kinds))


def in_lake(home: Path, entity: Entity) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of both tables of an entity."""
    found = {}
    for name, own in ((entity.bronze, entity.key), (entity.dead_letters, "reasons")):
        table = DeltaTable(str(home / "data" / name))
        found[name] = table.to_pyarrow_table(columns=["partition", "offset", "topic", own]).to_pylist()
    return found


def check(services: Handle, entity: Entity, sound: int, reasons: Counter[str]) -> None:
    """Every offset of the topic is in one of the entity's tables, once, and in the right one."""
    rows = in_lake(services.home, entity)
    ends = end_offsets(services.env, entity.topic.name)
    offsets = Counter((row["partition"], row["offset"]) for each in rows.values() for row in each)
    assert sum(ends.values()) == sound + reasons.total()
    assert offsets == Counter((p, offset) for p, end in ends.items() for offset in range(end))
    assert {row["topic"] for each in rows.values() for row in each} == {entity.topic.name}
    assert len(rows[entity.bronze]) == sound
    given = Counter(reason for row in rows[entity.dead_letters] for reason in row["reasons"])
    assert not reasons - given


@pytest.mark.services
def test_a_kill_between_the_two_commits_of_refunds_repeats_and_loses_nothing_of_either(services: Handle) -> None:
    payments, refunds = load_entities()
    reasons = {entity.name: send(services.env, entity, 20) for entity in (payments, refunds)}
    code, log = ended(stream(services.env, "--once"))
    assert code == 0, log
    for entity in (payments, refunds):
        check(services, entity, 20, reasons[entity.name])
        assert f"of topic {entity.topic.name}" in log
    assert re.search(r"\+0000 batch 0: rows=", log), log
    assert re.search(r"\+0000 refunds batch 0: rows=", log), log
    reasons[refunds.name] += send(services.env, refunds, 5)
    killed = stream({**services.env, "TIEOUT_FAILPOINT": "stream.after-dead-letters"}, "--once")
    assert ended(killed)[0] == -signal.SIGKILL
    rows = in_lake(services.home, refunds)
    assert len(rows[refunds.bronze]) == 20, "killed before bronze"
    assert len(rows[refunds.dead_letters]) == reasons[refunds.name].total()
    reasons[payments.name] += send(services.env, payments, 3)
    running = stream(services.env, "--trigger", "1s")
    wait_until_caught_up(services, running)
    running.send_signal(signal.SIGTERM)
    code, log = ended(running)
    assert (code, "Traceback" in log) == (0, False), log
    check(services, payments, 23, reasons[payments.name])
    check(services, refunds, 25, reasons[refunds.name])


def wait_until_caught_up(services: Handle, running: Any) -> None:
    lake = Lake(LocalPlace(services.home / "data"))
    wanted = [(entity, end_offsets(services.env, entity.topic.name)) for entity in load_entities()]
    wait_for(lambda: not behind(lake, wanted), running)


def made_anew(env: dict[str, str], entity: Entity) -> str:
    """Delete the topic of an entity and make it again; return its id."""
    admin = AdminClient(librdkafka_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"]))
    name, deadline = entity.topic.name, time.monotonic() + 120
    admin.delete_topics([name], operation_timeout=30)[name].result()
    while True:
        assert time.monotonic() < deadline
        try:
            admin.create_topics([NewTopic(name, entity.topic.partitions, 1)])[name].result()
            break
        except KafkaException:  # the old one is still going
            time.sleep(0.5)
    while True:
        assert time.monotonic() < deadline
        try:
            return topic_id(env, name)
        except TieoutError:
            time.sleep(0.5)


@pytest.mark.services
def test_an_entity_that_is_refused_waits_for_a_decision_while_the_other_flows_and_comes_back_by_it(
    services: Handle,
) -> None:
    payments, refunds = load_entities()
    layout = services.platform.layout
    running = stream(services.env, "--once")
    assert ended(running)[0] == 0
    before = {entity.name: rows_of(services, entity) for entity in (payments, refunds)}
    found = made_anew(services.env, refunds)
    send(services.env, payments, 4)
    send(services.env, refunds, 3)
    code, log = ended(stream(services.env, "--once"))
    assert (code, "Traceback" in log) == (78, False), log
    assert re.search(
        r"refunds: Topic refunds was made anew[^\n]*\nLeft as it is: [^\n]* transactions went on\.", log
    ), log
    assert rows_of(services, payments) > before[payments.name] + 4
    assert rows_of(services, refunds) == before[refunds.name]
    running = stream(services.env, "--trigger", "1s")
    wait_for(lambda: stream_is_ready(layout, running.pid), running)
    assert isinstance(read_failed(layout)["refunds"], RefusalError)
    known = rows_of(services, payments)
    send(services.env, payments, 2)
    wait_for(lambda: rows_of(services, payments) > known, running)
    by_name = {row["name"]: row for row in read_stations(layout, services.env)}
    assert "not served: Topic refunds was made anew" in by_name["refunds stream"]["error"]
    assert "error" not in by_name["stream"]
    accepted = stream(services.env, "--entity", "refunds", "--accept-topic", found, "--reason", "a test")
    code, log = ended(accepted)
    assert code == 0, log
    assert "the running stream serves refunds again" in log
    wait_until_caught_up(services, running)
    assert read_failed(layout) == {}
    assert rows_of(services, refunds) > before[refunds.name] + 3
    running.send_signal(signal.SIGTERM)
    code, log = ended(running)
    assert code == 0, log


def rows_of(services: Handle, entity: Entity) -> int:
    return sum(len(rows) for rows in in_lake(services.home, entity).values())


def wait_for(is_so: Callable[[], bool], running: Any) -> None:
    deadline = time.monotonic() + 300
    while not is_so():
        assert running.poll() is None, ended(running)
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.services
def test_a_damaged_log_of_one_entity_is_an_error_that_names_it_and_the_other_is_drained(services: Handle) -> None:
    payments, refunds = load_entities()
    log_folder = services.home / "data" / payments.bronze / "_delta_log"
    newest = max(log_folder.glob("*.json"))
    whole = newest.read_bytes()
    known = rows_of(services, refunds)
    send(services.env, refunds, 2)
    newest.write_bytes(b"{")
    try:
        code, log = ended(stream(services.env, "--once"))
    finally:
        newest.write_bytes(whole)
    assert (code, "Traceback" in log) == (1, False), log
    assert re.search(r"transactions: the log of [^\n]*raw_transactions cannot be read", log), log
    assert rows_of(services, refunds) > known + 2
    assert ended(stream(services.env, "--once"))[0] == 0
    assert read_failed(services.platform.layout) == {}


def test_what_is_accepted_is_accepted_for_the_entity_that_the_refusal_names(tmp_path: Path) -> None:
    refunds = load_entity("refunds")
    tables = stream_tables(Lake(LocalPlace(tmp_path)), refunds)
    assert [table.name for table in tables] == ["bronze_refunds", "dead_letters_refunds"]
    open_lake(TopicState("refunds", "T1", {0: 2}, {0: 9}), tables, None)
    for topic, options in (
        (TopicState("refunds", "T1", {0: 4}, {0: 9}), "--entity refunds --accept-loss 0:2-4 --reason"),
        (TopicState("refunds", "T2", {0: 0}, {0: 9}), "--entity refunds --accept-topic T2 --reason"),
    ):
        with pytest.raises(RefusalError) as refusal:
            open_lake(topic, tables, None)
        assert options in refusal.value.next
    topic, loss = TopicState("refunds", "T1", {0: 4}, {0: 9}), Acceptance("why", (Loss(0, 2, 4),), entity="refunds")
    assert open_lake(topic, tables, loss)[2] == {0: 4}


def code_of(path: Path) -> str:
    """Return a module's tokens without its comments."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return "\n".join(token.string for token in tokens if token.type != tokenize.COMMENT)


def test_no_module_of_the_stream_names_a_table_a_topic_or_a_field_of_payments() -> None:
    modules = sorted(Path(spark_streaming.__path__[0]).rglob("*.py"))
    assert len(modules) > 20
    assert {path.name: found for path in modules if (found := OF_PAYMENTS.findall(code_of(path)))} == {}
