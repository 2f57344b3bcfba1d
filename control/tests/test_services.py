"""A real broker and a real database, under the supervisor."""

import os
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError, TopicAuthorizationFailedError
from psycopg import errors

from contracts.entities import all_topics, load_entities, load_entity
from contracts.model import PAYMENTS
from control import catching_up, orphans, rounds
from control.accounts import choose_accounts
from control.logins import refused_logins
from control.offsets import end_offsets, held_back, topic_id
from control.registry import plain_services
from control.roles import dsn, ensure_roles, wait_for_postgres
from control.services import dashboard
from control.testing import transaction
from control.topics import _add_partitions, administrator, ensure_topics
from core.errors import TieoutError
from core.kafka_login import kafka_python_login, librdkafka_login
from core.layout import find_layout
from core.locks import AdvisoryKey
from core.topic_id import normalise_topic_id
from transformation.lock import BuildBusyError, hold_build_lock

pytestmark = pytest.mark.services

EVENTS, CONTROL = "transactions", "transactions.control"


def _login(services, user, password=None):
    password = password or services.env[f"KAFKA_PASSWORD_{user.upper()}"]
    return kafka_python_login(services.env["KAFKA_BOOTSTRAP"], user, password) | {"bootstrap_timeout_ms": 5000}


def _send(services, user, topic):
    # Without idempotence: a user who may write nowhere is refused its producer id before the topic is asked for.
    producer = KafkaProducer(**_login(services, user), max_block_ms=5000, enable_idempotence=False)
    try:
        return producer.send(topic, b"{}", key=b"k").get(timeout=10)
    finally:
        producer.close(timeout=1)


def _listening(pids):
    """Addresses of the listening TCP sockets of processes, from the kernel's own tables."""
    inodes = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = str(entry.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, _, port = fields[1].rpartition(":")
                found.add((address, int(port, 16)))
    return found


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


def _everyone(services):
    return [process.pid for process in orphans.members(services.platform.layout)]


def test_the_fixture_has_a_migrated_database(services):
    with psycopg.connect(dsn(services.env, "owner")) as connection:
        schemas = {name for (name,) in connection.execute("select schema_name from information_schema.schemata")}
    assert {"raw", "metadata", "staging", "intermediate", "marts", "live"} <= schemas


def test_the_settings_file_is_readable_by_its_owner_only(services):
    mode = (services.home / ".env").stat()
    assert stat.S_IMODE(mode.st_mode) == 0o600
    assert mode.st_uid == os.geteuid()


def test_nothing_listens_on_any_address_but_loopback(services):
    sockets = _listening(_everyone(services))
    ports = {port for _, port in sockets}
    assert {int(services.env[name]) for name in ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "POSTGRES_PORT")} <= ports
    assert {address for address, _ in sockets} <= LOOPBACK


def test_services_started_by_root_do_not_run_as_root(services):
    if os.geteuid() != 0:
        pytest.skip("only root has other accounts to give")
    accounts = choose_accounts(services.platform.layout)
    supervisor, *others = (psutil.Process(pid) for pid in _everyone(services))
    assert "supervisord" in " ".join(supervisor.cmdline())
    assert accounts.postgres == "tieout-postgres"
    # A clone that only root can enter leaves no choice for all but PostgreSQL, and the platform says so.
    assert accounts.services == "tieout" or "services run as root" in str(accounts.note)
    assert {process.username() for process in others} == {accounts.services or "root", accounts.postgres}


def test_topics_are_as_the_contract_says(services):
    for topic in all_topics(load_entities()):
        assert len(end_offsets(services.env, topic.name)) == topic.partitions


def test_a_topic_keeps_added_partitions_and_is_given_those_that_the_contract_adds(services, capsys):
    with administrator(services.env) as admin:
        admin.create_topics({"tried": {"num_partitions": 3, "replication_factor": 1, "configs": {}}})

        def count():
            return len(admin.describe_topics(["tried"])[0]["partitions"])

        _add_partitions(admin, "tried", 2)
        assert count() == 3
        assert "topic tried has 3 partitions, the contract says 2" in capsys.readouterr().err
        _add_partitions(admin, "tried", 5)
        assert count() == 5
        assert "topic tried has 5 partitions now instead of 3" in capsys.readouterr().err
        _add_partitions(admin, "tried", 5)
        assert capsys.readouterr().err == ""
        admin.delete_topics(["tried"])


def test_an_open_transaction_holds_back_its_partition_and_nobody_waits_for_it(services, tmp_path, monkeypatch):
    ends, held = held_back(services.env, EVENTS)
    assert held == 0
    layout = find_layout({"TIEOUT_HOME": str(tmp_path)})
    others = {entity.name: held_back(services.env, entity.topic.name)[0] for entity in load_entities()}
    monkeypatch.setattr(catching_up, "lake_ends", lambda _, entity: {**others, PAYMENTS: ends}[entity.name])
    with transaction(services.env, [b"{}", b"{}"], partition=2):
        assert held_back(services.env, EVENTS) == (ends, 2)
        assert catching_up.catch_up(layout, services.env, service_runs=True) == 2
        said = rounds._stream(layout, services.env, True)
        assert said == "the lake has every committed event of Kafka; 2 offsets wait for an open transaction"
    after = {**ends, 2: ends[2] + 3}  # two events, and the transaction's marker
    assert held_back(services.env, EVENTS) == (after, 0)


def test_the_broker_ends_a_transaction_after_a_minute(services):
    login = librdkafka_login(services.env["KAFKA_BOOTSTRAP"], "admin", services.env["KAFKA_PASSWORD_ADMIN"])
    producer = Producer({**login, "transactional.id": "long", "transaction.timeout.ms": 60_001})
    with pytest.raises(KafkaException, match="timeout"):
        producer.init_transactions(30)


def test_setting_up_again_changes_nothing_and_is_no_error(services):
    ensure_topics(services.env, load_entities())
    ensure_roles(services.env)
    ensure_roles(services.env)


@pytest.mark.parametrize(("user", "other"), [("gateway", "redrive"), ("redrive", "gateway")])
def test_a_sender_writes_its_own_topic_of_control_totals_and_no_other_ones(services, user, other):
    topics = load_entity(PAYMENTS).platform.control_topics
    assert _send(services, user, topics[user].name).offset >= 0
    with pytest.raises(TopicAuthorizationFailedError):
        _send(services, user, topics[other].name)


def test_a_right_that_an_earlier_version_gave_is_taken_back_and_those_of_others_stay(services):
    theirs, ours = _write_acl("User:somebody-else", CONTROL), _write_acl("User:redrive", CONTROL)
    with administrator(services.env) as admin:
        assert not admin.create_acls([theirs, ours])["failed"]
    _until(lambda: _send(services, "redrive", CONTROL))
    ensure_topics(services.env, load_entities())
    with administrator(services.env) as admin:
        found, _ = admin.describe_acls(
            ACLFilter(None, None, ACLOperation.WRITE, ACLPermissionType.ALLOW, _pattern(CONTROL, ResourcePatternFilter))
        )
    assert {acl.principal for acl in found} == {"User:gateway", "User:somebody-else"}


def _pattern(topic, kind=ResourcePattern):
    return kind(ResourceType.TOPIC, topic, ACLResourcePatternType.LITERAL)


def _write_acl(principal, topic):
    return ACL(principal, "*", ACLOperation.WRITE, ACLPermissionType.ALLOW, _pattern(topic))


def _until(work, tries=20):
    for _ in range(tries):
        try:
            return work()
        except TopicAuthorizationFailedError:  # a right that was just given is not known everywhere at once
            time.sleep(0.5)
    return work()


def test_the_gateway_writes_both_topics_and_reads_none(services):
    assert _send(services, "gateway", EVENTS).offset >= 0
    assert _send(services, "gateway", CONTROL).offset >= 0
    consumer = KafkaConsumer(EVENTS, **_login(services, "gateway"), group_id="gateway-x", auto_offset_reset="earliest")
    try:
        with pytest.raises(KafkaError):
            consumer.poll(timeout_ms=5000)
    finally:
        consumer.close(autocommit=False)


@pytest.mark.parametrize("user", ["stream", "loader", "auditor"])
def test_readers_write_nothing(services, user):
    topic = CONTROL if user == "loader" else EVENTS
    with pytest.raises(TopicAuthorizationFailedError):
        _send(services, user, topic)


def test_a_topic_without_rights_cannot_be_seen(services):
    consumer = KafkaConsumer(**_login(services, "stream"))
    try:
        assert EVENTS in consumer.topics()
        assert CONTROL not in consumer.topics()
    finally:
        consumer.close()


def test_nobody_makes_topics_by_writing_to_them(services):
    with pytest.raises(KafkaError):
        _send(services, "gateway", "transactions.typo")


def test_a_wrong_password_is_refused_by_the_broker(services):
    with pytest.raises((KafkaError, AssertionError)):
        KafkaConsumer(**_login(services, "auditor", "wrong")).topics()


def test_anonymous_is_refused_by_the_broker(services):
    with pytest.raises((KafkaError, AssertionError)):
        KafkaConsumer(bootstrap_servers=services.env["KAFKA_BOOTSTRAP"], bootstrap_timeout_ms=5000).topics()


def test_a_wrong_password_is_refused_by_the_database(services):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn(services.env | {"POSTGRES_PASSWORD_READER": "wrong"}, "reader"))


def test_a_wrong_superuser_password_names_the_way_out(services):
    with pytest.raises(TieoutError, match=r"put the old \.env back"):
        wait_for_postgres(services.env | {"POSTGRES_PASSWORD_POSTGRES": "wrong"}, seconds=5)


@pytest.mark.parametrize(
    ("role", "database"), [("loader", "airflow"), ("dbt", "postgres"), ("airflow", "payments"), ("reader", "template1")]
)
def test_a_role_reaches_only_its_own_database(services, role, database):
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(dsn(services.env, role, database))


DENIED = {
    "reader sees no raw payment": ("reader", "select count(*) from raw.transactions"),
    "reader writes nothing": ("reader", "set transaction read write; delete from metadata.load_audit"),
    "reader makes no table": ("reader", "set transaction read write; create table marts.mine (x int)"),
    "loader makes no schema": ("loader", "create schema mine"),
    "loader makes no table": ("loader", "create table raw.mine (x int)"),
    "loader changes no payment": ("loader", "update raw.transactions set amount = amount"),
    "loader deletes no payment": ("loader", "delete from raw.transactions"),
    "dbt deletes no payment": ("dbt", "delete from raw.transactions"),
    "dbt adds no payment": ("dbt", "insert into raw.transactions default values"),
    "dbt makes no role": ("dbt", "create role mine"),
    "nobody uses schema public": ("loader", "create table public.mine (x int)"),
}


@pytest.mark.parametrize(("role", "statement"), DENIED.values(), ids=DENIED.keys())
def test_a_role_has_no_more_rights_than_it_needs(services, role, statement):
    with psycopg.connect(dsn(services.env, role)) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


def test_dbt_and_loader_may_do_their_work(services):
    with psycopg.connect(dsn(services.env, "loader")) as connection:
        connection.execute("create temporary table stage (like raw.transactions)")
        assert connection.execute("select count(*) from raw.transactions").fetchone() is not None
    with psycopg.connect(dsn(services.env, "dbt")) as connection:
        connection.execute("create table marts.probe (x int)")
        connection.execute("drop table marts.probe")


def test_a_password_that_was_changed_in_the_settings_is_named(services):
    assert refused_logins(services.env) == []
    changed = dict.fromkeys(("POSTGRES_PASSWORD_LOADER", "KAFKA_PASSWORD_STREAM"), "another")
    assert refused_logins({**services.env, **changed}) == list(changed)


def test_a_killed_database_and_broker_come_back_by_themselves(services):
    for name, port in (("postgres", "POSTGRES_PORT"), ("kafka", "KAFKA_PORT")):
        services.kill(name)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", int(services.env[port])), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        services.start(name)
    assert end_offsets(services.env, EVENTS)


def test_the_id_of_a_topic_is_spelled_as_kafka_spells_it(services):
    env = services.env
    client = AdminClient(librdkafka_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"]))
    other = str(client.describe_topics(TopicCollection([EVENTS]))[EVENTS].result().topic_id)
    assert topic_id(services.env, EVENTS) == normalise_topic_id(other)


def test_a_connection_that_does_not_log_in_is_closed(services):
    with psycopg.connect(dsn(services.env, "reader")) as connection:
        assert connection.execute("show authentication_timeout").fetchone() == ("10s",)
    with socket.create_connection(("127.0.0.1", int(services.env["POSTGRES_PORT"])), timeout=60) as silent:
        assert silent.recv(1) == b""


def test_what_a_role_has_changed_of_its_own_defaults_is_set_right_by_the_next_start(services):
    question = "select setconfig from pg_db_role_setting where setrole = 'reader'::regrole"
    with psycopg.connect(dsn(services.env, "reader"), autocommit=True) as reader:
        before = reader.execute(question).fetchall()
        assert "temp_file_limit=1GB" in before[0][0]
        reader.execute("set default_transaction_read_only = off")
        reader.execute("alter role reader set statement_timeout = 0")
        reader.execute("alter role reader set work_mem = '1GB'")
        reader.execute("alter role reader in database payments set default_transaction_read_only = off")
        reader.execute("alter role reader password 'mine'")
        assert reader.execute(question).fetchall() != before
    assert refused_logins(services.env) == ["POSTGRES_PASSWORD_READER"]
    ensure_roles(services.env)
    with psycopg.connect(dsn(services.env, "reader")) as reader:
        assert reader.execute(question).fetchall() == before
    assert refused_logins(services.env) == []


def test_roles_that_could_not_be_set_right_keep_the_defaults_that_they_had(services):
    question = "select setconfig from pg_db_role_setting where setrole = 'reader'::regrole"
    with psycopg.connect(dsn(services.env, "reader")) as reader:
        before = reader.execute(question).fetchall()
        assert "temp_file_limit=1GB" in before[0][0]
        reader.rollback()
        wrong = replace(dashboard.SERVICE.roles[0], defaults=("no_such_setting = on",))
        broken = {**plain_services(), "dashboard": replace(dashboard.SERVICE, roles=(wrong,))}
        with pytest.raises(errors.UndefinedObject):
            ensure_roles(services.env, broken)
        assert reader.execute(question).fetchall() == before


def test_a_build_that_cannot_take_its_lock_says_who_holds_it(services):
    with psycopg.connect(dsn(services.env, "dbt"), autocommit=True) as db:
        with psycopg.connect(dsn(services.env, "postgres", "postgres"), autocommit=True) as elsewhere:
            elsewhere.execute("select pg_advisory_lock(%s)", [int(AdvisoryKey.BUILD)])  # another database's lock
            with hold_build_lock(db):
                pass
        with psycopg.connect(dsn(services.env, "loader"), autocommit=True) as other:
            other.execute("select pg_advisory_lock(%s)", [int(AdvisoryKey.BUILD)])
            with pytest.raises(BuildBusyError, match=r"role loader .*server process"), hold_build_lock(db, 0.3):
                pass
        with hold_build_lock(db):
            pass
