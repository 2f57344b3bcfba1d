import configparser
import os
import pwd
import re
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS
from control import airflow, jars, supervision
from control.accounts import Accounts, hand_over, own_folder, reachable
from control.drop_privileges import OF_NO_SERVICE, WORK_OF, known_to
from control.env import SECRETS, ensure_env
from control.kafka_node import render_properties, scram
from control.ports import next_free, settle_ports
from control.processes import WAIT_EXEC, Platform
from control.registry import plain_services, users_of
from control.service import BATCH, INTERACTIVE, Acl
from control.topics import rights
from core.errors import TieoutError
from core.layout import find_layout


@pytest.fixture
def layout(tmp_path):
    return find_layout({"TIEOUT_HOME": str(tmp_path)})


@pytest.fixture
def services(layout):
    accounts = Accounts("someone", "another", layout.postgres_data, layout.state / "runtime")
    return Platform(layout, accounts, ensure_env(layout)).services


def test_each_process_gets_only_the_secrets_of_its_part(services):
    for name, service in services.items():
        assert set(service.environment) & set(SECRETS) == set(service.service.knows) & set(SECRETS), name
        argv = " ".join(service.command)
        assert not [secret for secret in service.environment.values() if len(secret) == 32 and secret in argv]
    assert services["postgres"].environment == {"LANG": "C.UTF-8"}
    mighty = {"KAFKA_PASSWORD_ADMIN", "KAFKA_PASSWORD_BROKER", "POSTGRES_PASSWORD_POSTGRES", "POSTGRES_PASSWORD_OWNER"}
    known = [*(each.knows for each in plain_services().values()), *OF_NO_SERVICE.values()]
    assert not mighty & {name for each in known for name in each}


def test_a_command_knows_the_secrets_of_the_services_whose_work_it_does():
    found = {command: known_to(command) & set(SECRETS) for command in WORK_OF}
    assert found["dlq"] == {"KAFKA_PASSWORD_REDRIVE", "POSTGRES_PASSWORD_REDRIVE"}
    assert found["refused"] == found["ingest"]
    assert found["ingest"] == found["produce"] | {"KAFKA_PASSWORD_AUDITOR", "POSTGRES_PASSWORD_INGEST"}
    assert found["produce"] == {"KAFKA_PASSWORD_GATEWAY", "CARD_HASH_KEY"}
    assert found["run"] == found["build"] | {
        *("KAFKA_PASSWORD_STREAM", "POSTGRES_PASSWORD_READER", "POSTGRES_PASSWORD_STREAM", "SPARK_AUTH_SECRET"),
    }
    assert all(found.values())


def test_batches_give_way_to_what_somebody_waits_for(services):
    assert {name for name, service in services.items() if BATCH in service.command} == {
        "stream",
        *(set(airflow.NAMES) - {airflow.API}),
    }
    command = [sys.executable, "-I", "-S", str(WAIT_EXEC), "SIGTERM", BATCH, "--", "nice"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == min(19, os.nice(0) + 10)
    waited_for = {"kafka", "live", "producer", "dashboard"}
    assert {name for name, service in services.items() if INTERACTIVE in service.command} == waited_for


def test_what_goes_first_is_a_session_also_as_the_leader_of_a_group():
    command = [sys.executable, "-I", "-S", str(WAIT_EXEC), "SIGTERM", INTERACTIVE, "--", sys.executable, "-c"]
    said = "import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())"
    done = subprocess.run([*command, said], capture_output=True, text=True, check=True, process_group=0)
    assert done.stdout == "True\n"


def test_the_supervisor_listens_on_no_port_and_reads_its_configuration(layout, services):
    text = supervision.render_configuration(layout, services.values())
    parsed = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parsed.read_string(text)
    assert "inet_http_server" not in parsed.sections()
    assert parsed["group:base"]["programs"] == "postgres,kafka"
    priorities = [int(parsed[f"group:{name}"]["priority"]) for name in ("base", "jobs", "airflow")]
    assert priorities == sorted(set(priorities))
    for name in services:
        # Only a stream that waits for a decision stays down: it ends with 78.
        assert parsed[f"program:{name}"]["autorestart"] == "unexpected"
        assert parsed[f"program:{name}"]["exitcodes"] == "78"


def test_a_percent_sign_in_a_value_reaches_the_process_unchanged(layout, services):
    service = replace(services["postgres"], environment={"ODD": "100%s"})
    assert 'ODD="100%%s"' in supervision.render_configuration(layout, [service])


def test_a_deep_home_gets_a_socket_that_the_kernel_takes(tmp_path):
    deep = find_layout({"TIEOUT_HOME": str(tmp_path / ("x" * 90))})
    assert len(str(supervision.socket_path(deep))) < 90


def test_the_broker_lets_nobody_in_without_a_name(layout):
    properties = render_properties(layout, ensure_env(layout))
    listeners = re.findall(r"^(?:advertised\.)?listeners=(.*)$", properties, re.MULTILINE)
    assert len(listeners) == 2
    assert all("//127.0.0.1:" in each for line in listeners for each in line.split(","))
    assert "PLAINTEXT:" not in properties.replace("SASL_PLAINTEXT", "")
    assert "allow.everyone.if.no.acl.found=false" in properties
    assert "auto.create.topics.enable=false" in properties


def test_the_brokers_folder_is_the_homes_whatever_its_letters(tmp_path):
    layout = find_layout({"TIEOUT_HOME": str(tmp_path / "tieout ä 日本 😀")})
    properties = render_properties(layout, ensure_env(layout))
    assert properties.isascii()
    line = next(line for line in properties.splitlines() if line.startswith("log.dirs="))
    # As Java reads it: ISO-8859-1, escapes in UTF-16.
    read = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), line.partition("=")[2])
    assert read.encode("utf-16", "surrogatepass").decode("utf-16") == str(layout.kafka_data)


def test_no_password_stands_in_a_process_list_while_formatting():
    assert "s3cret" not in scram("admin", "s3cret")


def test_every_kafka_user_has_rights_and_only_writers_may_write():
    allowed = rights(load_entities())
    assert set(allowed) == {user.name for user in users_of()} >= set(load_entity(PAYMENTS).platform.control_topics)
    writers = {user for user, each in allowed.items() if any(right.operation == "WRITE" for right in each)}
    assert writers == {"gateway", "redrive", "live"}
    assert allowed["stream"] == [
        *(Acl(each, topic) for topic in ("transactions", "refunds") for each in ("READ", "DESCRIBE_CONFIGS")),
        Acl("READ", "stream-", "GROUP", prefixed=True),
    ]


def test_each_sender_alone_may_write_its_topic_of_control_totals():
    entity = load_entity(PAYMENTS)
    assert entity.platform.control_topics["gateway"].name == "transactions.control"
    assert entity.platform.control_topics["redrive"].name == "transactions.control.redrive"
    for sender, topic in entity.platform.control_topics.items():
        assert [user for user, each in rights(load_entities()).items() if Acl("WRITE", topic.name) in each] == [sender]
        assert Acl("READ", topic.name) in rights(load_entities())["loader"]


def test_a_taken_port_moves_to_the_next_free_one_and_takes_the_brokers_address_along(layout):
    values = ensure_env(layout)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        taken = other.getsockname()[1]
        moved = settle_ports(values | {"KAFKA_PORT": str(taken), "KAFKA_BOOTSTRAP": f"127.0.0.1:{taken}"})
    assert int(moved["KAFKA_PORT"]) > taken
    assert moved["KAFKA_BOOTSTRAP"] == f"127.0.0.1:{moved['KAFKA_PORT']}"


def test_a_broker_and_a_database_elsewhere_are_used_and_not_started(layout):
    values = ensure_env(layout) | {"KAFKA_BOOTSTRAP": "kafka.example:9092", "POSTGRES_HOST": "db.example"}
    accounts = Accounts(None, None, layout.postgres_data, layout.state / "runtime")
    services = Platform(layout, accounts, values).services
    assert set(services) == {"stream", "live", "lineage", "dashboard", "producer", *airflow.NAMES}
    assert not any(word.startswith("tcp:") for service in services.values() for word in service.command)
    assert services["stream"].environment["KAFKA_BOOTSTRAP"] == "kafka.example:9092"
    assert not {"KAFKA_BOOTSTRAP", "KAFKA_PORT", "POSTGRES_PORT"} & set(settle_ports(values))


def test_two_services_never_get_the_same_port():
    first = next_free("DOCS_PORT", 21450, set())
    assert next_free("DOCS_PORT", first, {first}) > first


def test_a_setting_for_which_no_port_is_left_is_named():
    with pytest.raises(TieoutError, match="DASHBOARD_PORT: no port from 65530 to 65535 is free"):
        next_free("DASHBOARD_PORT", 65530, set(range(65530, 65536)))


def test_a_folder_below_a_closed_one_cannot_be_reached(tmp_path):
    tmp_path.chmod(0o700)
    assert not reachable(tmp_path / "below")
    assert reachable(Path("/usr/bin/env"))


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")


@ROOT
def test_root_follows_no_link_that_a_service_could_have_made(tmp_path):
    foreign, link = tmp_path / "foreign", tmp_path / "undelivered"
    foreign.mkdir(0o755)
    (foreign / "file").touch()
    before = [(path.stat().st_uid, path.stat().st_mode) for path in (foreign, foreign / "file")]
    for target in (foreign, foreign / "file", tmp_path / "nowhere"):
        link.symlink_to(target)
        for change in (lambda: own_folder(link, "nobody", 0o700), lambda: hand_over(link, 65534, 65534)):
            with pytest.raises(TieoutError, match="is a link or a file"):
                change()
        link.unlink()
    assert [(path.stat().st_uid, path.stat().st_mode) for path in (foreign, foreign / "file")] == before
    assert not (tmp_path / "nowhere").exists()


@ROOT
def test_a_folder_changes_hands_with_all_that_is_in_it_but_for_what_links_point_to(tmp_path):
    folder, foreign = tmp_path / "folder", tmp_path / "foreign"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").touch()
    foreign.mkdir()
    (foreign / "file").touch()
    (folder / "link").symlink_to(foreign)
    own_folder(folder, "nobody", 0o700)
    given = [folder, folder / "below", folder / "below" / "file", folder / "link"]
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {path.lstat().st_uid for path in given} == {nobody}
    assert {path.stat().st_uid for path in (foreign, foreign / "file")} == {0}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    own_folder(folder / "new" / "deep", "nobody", 0o711)
    assert (folder / "new" / "deep").stat().st_uid == nobody


def test_the_jars_lock_tells_a_changed_and_a_missing_jar(tmp_path):
    for name in ("broker", "spark"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jar").write_bytes(b"one")
    lock = tmp_path / "lock"
    assert jars.write_lock(tmp_path, lock) == 2
    assert jars.differences(tmp_path, lock) == []
    (tmp_path / "broker" / "a.jar").write_bytes(b"two")
    (tmp_path / "spark" / "a.jar").rename(tmp_path / "spark" / "b.jar")
    assert jars.differences(tmp_path, lock) == [
        "missing: spark/a.jar",
        "not in the lock: spark/b.jar",
        "other content: broker/a.jar",
    ]


def test_the_installed_jars_are_those_of_the_lock():
    layout = find_layout({})
    assert list((layout.jars / "broker").glob("*.jar"))
    assert jars.differences(layout.jars) == []
