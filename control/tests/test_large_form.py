"""The large form: the store and the cluster as profiles, by their configuration."""

import pytest

from control import store
from control.accounts import Accounts
from control.env import ensure_env, read_env, settings
from control.kafka_node import render_properties
from control.ports import settle_ports
from control.processes import Platform
from control.profiles import choose_profiles
from control.services.cluster._brokers import NODES
from control.store import PORTS, holds_lake
from core.errors import TieoutError
from core.layout import find_layout


@pytest.fixture
def layout(tmp_path, monkeypatch):
    found = find_layout({"TIEOUT_HOME": str(tmp_path / "home")})
    found.state.mkdir(parents=True)
    monkeypatch.setattr("control.services.store.program", lambda _: tmp_path)  # installed
    return found


def _platform(layout):
    return Platform(layout, Accounts(None, None, layout.postgres_data, layout.state), settings(layout))


def test_the_lake_of_a_fresh_home_begins_in_its_store(layout):
    choose_profiles(layout, ["store"], [])
    values = ensure_env(layout)
    assert (values["LAKE_URL"], values["LAKE_ENDPOINT"]) == ("s3://lake", "http://127.0.0.1:8333")
    assert len({values["LAKE_ACCESS_KEY"], values["LAKE_SECRET_KEY"]}) == 2
    assert holds_lake(layout)
    platform = _platform(layout)
    process = platform.services["store"]
    assert len(process.service.ports) == PORTS
    moved = settle_ports({**platform.settings, "STORE_S3_PORT": "21902"}, (), platform.registered)
    assert moved == {"LAKE_ENDPOINT": "http://127.0.0.1:21902"}
    for secret in (values["LAKE_ACCESS_KEY"], values["LAKE_SECRET_KEY"]):
        assert not any(secret in word for word in process.command)
    choose_profiles(layout, [], [])
    assert ensure_env(layout) == values, "keys are drawn once"


def test_a_lake_that_is_there_stays_and_the_move_is_named(layout, capsys):
    log = layout.data / "raw_transactions" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{}")
    choose_profiles(layout, ["store"], [])
    assert "LAKE_URL" not in ensure_env(layout)
    assert "./scripts/tieout lake move --to s3://lake --switch" in capsys.readouterr().err
    assert not holds_lake(layout)
    choose_profiles(layout, [], ["store"])
    assert not {"LAKE_ENDPOINT", "LAKE_SECRET_KEY"} & set(read_env(layout.env_file))


def test_a_store_with_a_lake_in_it_does_not_go(layout):
    choose_profiles(layout, ["store"], [])
    (store.folder(layout) / "objects").mkdir(parents=True)
    with pytest.raises(TieoutError, match="in its own store, which would no longer run") as refused:
        choose_profiles(layout, [], ["store"])
    assert "lake move --to file:data" in refused.value.next
    (store.folder(layout) / "objects").rmdir()  # as a reset leaves it
    choose_profiles(layout, [], ["store"])
    assert not {"LAKE_URL", "LAKE_ENDPOINT"} & set(read_env(layout.env_file))


def test_a_home_whose_lake_is_in_somebody_elses_store_keeps_it(layout):
    layout.env_file.write_text("LAKE_URL=s3://theirs\nLAKE_ENDPOINT=https://s3.example.org\n")
    with pytest.raises(TieoutError, match=r"in another store, at https://s3\.example\.org"):
        choose_profiles(layout, ["store"], [])
    assert read_env(layout.env_file)["LAKE_ENDPOINT"] == "https://s3.example.org"


def test_the_brokers_of_a_cluster_vote_and_keep_each_event_twice(layout):
    choose_profiles(layout, ["cluster"], [])
    ensure_env(layout)
    platform = _platform(layout)
    values = platform.settings | settle_ports(platform.settings, (), platform.registered)
    assert (values["KAFKA_REPLICATION"], values["KAFKA_MIN_INSYNC"]) == ("3", "2")
    assert values["KAFKA_BOOTSTRAP"].split(",") == [f"127.0.0.1:{values[node.port]}" for node in NODES]
    rendered = [render_properties(layout, values, node, NODES).splitlines() for node in NODES]
    voters = ",".join(f"{node.number}@127.0.0.1:{values[node.controller_port]}" for node in NODES)
    for number, lines in enumerate(rendered, 1):
        assert {f"node.id={number}", f"controller.quorum.voters={voters}", "min.insync.replicas=2"} < set(lines)
        assert "sasl.mechanism.controller.protocol=PLAIN" in lines
    assert len({line for lines in rendered for line in lines if line.startswith("log.dirs=")}) == len(NODES)
    alone = render_properties(layout, values).splitlines()
    assert {"sasl.mechanism.controller.protocol=SCRAM-SHA-256", "min.insync.replicas=1"} < set(alone)


def test_no_secret_is_among_the_words_of_a_cluster(layout):
    choose_profiles(layout, ["cluster"], [])
    values = ensure_env(layout)
    services = _platform(layout).services
    parts = [services[name] for name in ("spark-master", "spark-worker-1", "spark-worker-2")]
    for process in parts:
        assert values["SPARK_AUTH_SECRET"] not in " ".join(process.command)
        assert process.environment["_SPARK_AUTH_SECRET"] == values["SPARK_AUTH_SECRET"]
        assert {"-Dspark.authenticate=true", "-Dspark.ui.killEnabled=false"} < set(process.command)
        assert process.environment["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert "SPARK_AUTH_SECRET" in services["stream"].environment
    assert "SPARK_AUTH_SECRET" not in services["dashboard"].environment


def test_a_cluster_comes_to_a_fresh_home_only(layout):
    layout.kafka_data.mkdir(parents=True)
    (layout.kafka_data / "meta.properties").touch()
    with pytest.raises(TieoutError, match="the profile cluster can only come to a fresh home") as refused:
        choose_profiles(layout, ["cluster"], [])
    assert "TIEOUT_HOME=" in refused.value.next
