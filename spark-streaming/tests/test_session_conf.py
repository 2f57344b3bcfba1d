"""The options that Java gets, and settings without a value."""

import re

import pytest

from contracts.layout import find_layout
from spark_streaming import session
from spark_streaming.settings import StreamSettings, load_settings


def java_options(own: str, monkeypatch: pytest.MonkeyPatch, whose: str = "driver") -> str:
    monkeypatch.setattr(session, "jar_files", lambda _: [])
    conf = session.session_conf(StreamSettings(spark_java_options=own), find_layout())
    return conf[f"spark.{whose}.extraJavaOptions"]


@pytest.mark.parametrize("own", ["", "-Xlog:gc", "-XX:+UseG1GC -Xlog:gc", "-XX:TieredStopAtLevel=1 -XX:+UseZGC"])
def test_java_is_asked_for_one_collector(own, monkeypatch):
    options = java_options(own, monkeypatch)
    assert len(re.findall(r"-XX:\+Use\w+GC\b", options)) == 1
    assert options.endswith(own)


def test_executors_of_their_own_run_the_same_java_as_the_driver(monkeypatch):
    own = "-Xlog:gc -Dspark.ui.retainedJobs=10"
    driver, executor = (java_options(own, monkeypatch, whose).split() for whose in ("driver", "executor"))
    assert "-XX:-DontCompileHugeMethods" in executor
    assert set(executor) == {option for option in driver if not option.startswith(("-Dlog4j2", "-Dderby", "-Dspark"))}


def test_large_pages_are_asked_for_where_java_knows_them(monkeypatch):
    monkeypatch.setattr(session.sys, "platform", "darwin")
    assert "Pages" not in java_options("", monkeypatch)


def test_a_setting_without_a_value_is_its_default(tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_OFFSETS_PER_TRIGGER", "")
    assert load_settings(find_layout({"TIEOUT_HOME": str(tmp_path)})).max_offsets_per_trigger == 200_000
