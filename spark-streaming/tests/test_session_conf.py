"""The options that Java gets, and settings without a value."""

import re
import shlex
import socket
import subprocess
import sys

import pytest

from core.layout import find_layout
from core.settings import Settings, load_settings
from spark_streaming import session


def conf_of(own: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(session, "jar_files", lambda _: [])
    return session.session_conf(Settings(spark_java_options=own), find_layout())


def java_options(own: str, monkeypatch: pytest.MonkeyPatch, whose: str = "driver") -> str:
    return conf_of(own, monkeypatch)[f"spark.{whose}.extraJavaOptions"]


@pytest.mark.parametrize("own", ["", "-Xlog:gc", "-XX:+UseG1GC -Xlog:gc", "-XX:TieredStopAtLevel=1 -XX:+UseZGC"])
def test_java_is_asked_for_one_collector(own, monkeypatch):
    options = java_options(own, monkeypatch)
    assert len(re.findall(r"-XX:\+Use\w+GC\b", options)) == 1
    assert options.endswith(own)


def test_executors_of_their_own_run_the_same_java_as_the_driver(monkeypatch):
    own = "-Xlog:gc -Dspark.ui.retainedJobs=10"
    driver, executor = (java_options(own, monkeypatch, whose).split() for whose in ("driver", "executor"))
    assert "-XX:-UseGCOverheadLimit" in executor
    assert set(executor) == {option for option in driver if not option.startswith(("-Dlog4j2", "-Dderby", "-Dspark"))}


@pytest.mark.parametrize(
    ("own", "quick"), [("", 1), ("-Xlog:gc", 1), ("-XX:-TieredCompilation", 0), ("-XX:TieredStopAtLevel=4", 0)]
)
def test_java_has_its_quick_compiler_alone_unless_the_user_says_otherwise(own, quick, monkeypatch):
    assert java_options(own, monkeypatch).split().count("-XX:TieredStopAtLevel=1") == quick


def test_only_a_master_elsewhere_has_executors_to_size(monkeypatch):
    monkeypatch.setattr(session, "jar_files", lambda _: [])
    secret = "not-to-be-seen"
    settings = {
        master: Settings(spark_master=master, spark_executor_cores=3, spark_auth_secret=secret)
        for master in ("local[2]", "spark://127.0.0.1:7077")
    }
    here, there = (session.session_conf(each, find_layout()) for each in settings.values())
    assert "spark.cores.max" not in here
    assert (there["spark.cores.max"], there["spark.executor.memory"]) == ("3", "700m")
    assert here["spark.authenticate"] == there["spark.authenticate"] == "true"
    assert secret not in str(there), "all of it is in the process list"


def test_large_pages_are_asked_for_where_java_knows_them(monkeypatch):
    monkeypatch.setattr(session.sys, "platform", "darwin")
    assert "Pages" not in java_options("", monkeypatch)


def test_a_setting_without_a_value_is_its_default(tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_OFFSETS_PER_TRIGGER", "")
    assert load_settings(find_layout({"TIEOUT_HOME": str(tmp_path)})).max_offsets_per_trigger == 200_000


def test_a_home_with_a_blank_stays_one_option(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "jar_files", lambda _: [tmp_path / "a ä.jar"])
    conf = session.session_conf(Settings(), find_layout({"TIEOUT_HOME": str(tmp_path / "my tieout ä")}))
    options = shlex.split(conf["spark.driver.extraJavaOptions"])  # Spark splits at blanks outside of quotes, too
    assert f"-Dderby.system.home={tmp_path}/my tieout ä/.tieout/spark" in options
    assert "%20" not in conf["spark.sql.warehouse.dir"]
    assert conf["spark.jars"].endswith("/a%20%C3%A4.jar")


START = """
import sys
from pathlib import Path
from core.layout import CHECKOUT, Layout
from core.settings import Settings
from spark_streaming.session import start_session
start_session(Settings(spark_ui_port=int(sys.argv[2])), Layout(CHECKOUT, Path(sys.argv[1])), "tests", ui=True)
"""


@pytest.mark.services
def test_a_page_whose_port_is_taken_is_named_and_no_other_port_is_used(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", START, tmp_path, str(port)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"port {port} of SPARK_UI_PORT is taken" in done.stderr
    assert "Next: ./scripts/start.sh" in done.stderr
