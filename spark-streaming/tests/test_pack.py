"""Executors with a Python of their own: the packed one, none, and another code than the driver's."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.errors import TieoutError
from core.lake import Lake
from core.layout import CHECKOUT, Layout
from core.settings import Settings
from spark_streaming.code import fingerprint
from spark_streaming.executors import executors_conf, network_conf, python_of
from spark_streaming.pack import _distributions, pack
from spark_streaming.tables import stream_tables
from spark_streaming.task import Report, WriteFiles

# By value, as `python -c` has it: a module of the tests would not be where an executor looks.
ASK = """
import json, sys
from pathlib import Path
import pyarrow as pa
from core.lake import Lake
from core.layout import CHECKOUT, Layout
from core.settings import Settings
from spark_streaming.failures import explain
from spark_streaming.session import start_session

settings = Settings(spark_master="local-cluster[1,1,1024]", spark_python_archive=sys.argv[2], spark_auth_secret="hush")
spark = start_session(settings, Layout(CHECKOUT, Path(sys.argv[1])), "pack", ui=False)

def look(batches):
    import sys
    import spark_streaming.sink, spark_streaming.task
    from spark_streaming.code import fingerprint
    list(batches)
    found = [fingerprint(), spark_streaming.task.__file__, sys.prefix]
    yield pa.RecordBatch.from_pydict({"found": [json.dumps(found)]})

def ask():
    return spark.range(1).coalesce(1).mapInArrow(look, "found string").collect()[0]["found"]

found = json.loads(ask())
spark.sparkContext.pythonExec = "/nowhere/python"
try:
    ask()
except Exception as error:
    found.append(explain(error, settings, "transactions").what)
print(json.dumps(found))
"""


@pytest.mark.services
@pytest.mark.slow  # a minute: it packs 160 MB and unpacks them
def test_executors_work_with_the_packed_python_and_one_without_python_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "python.tar.gz"
    assert pack(archive) > 10 << 20
    # Another machine has no environment of ours.
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if not each.startswith(sys.prefix))
    done = subprocess.run(
        [sys.executable, "-c", ASK, tmp_path / "home", archive],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    code, file, prefix, words = json.loads(done.stdout)
    assert code == fingerprint()
    # Where Spark unpacks it; this kind of master works below its own programs.
    work = next(folder for folder in Path(file).parents if folder.name.startswith("app-"))
    shutil.rmtree(work, ignore_errors=True)
    assert Path(file).relative_to(work).parts[1:4] == ("tieout", "lib", "spark_streaming")
    assert prefix != sys.prefix
    assert words == "An executor lacks the stream's Python: there is no /nowhere/python."


def test_the_archive_has_our_packages_and_no_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_streaming.pack._distributions", lambda: iter(()))
    pack(tmp_path / "python.tar.gz")
    with tarfile.open(tmp_path / "python.tar.gz") as archive:
        names = set(archive.getnames())
        assert archive.getmember("bin/python").mode == 0o755
    assert {
        "lib/core/settings.py",
        "lib/contracts/entities/transactions/contract.odcs.yaml",
        "lib/spark_streaming/task.py",
    } < names
    assert not [name for name in names if "__pycache__" in name or "tests" in name]


def test_what_the_packages_require_is_in_the_archive_and_what_spark_brings_is_not() -> None:
    names = {each.name.lower().replace("_", "-") for each in _distributions()}
    assert {"pyarrow", "numpy", "deltalake", "obstore", "pydantic-core", "psycopg"} < names
    assert not names & {"pyspark", "py4j", "tieout", "streamlit", "confluent-kafka"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TieoutError, match=r"nowhere/python\.tar\.gz cannot be written: No such file"):
        pack(tmp_path / "nowhere" / "python.tar.gz")


def test_an_executor_with_other_code_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_streaming.task.os.umask", lambda _: 0)  # this process is no worker
    entity = load_entity(PAYMENTS)
    bronze, dead = stream_tables(Lake.of(Settings(), Layout(CHECKOUT, tmp_path)), entity)
    task = WriteFiles(entity, "t", bronze, dead, {}, {}, None, "another")
    (batch,) = task(iter(()))
    assert Report.from_json(batch["report"][0].as_py()).foreign


def test_the_settings_of_executors(tmp_path: Path) -> None:
    archive = tmp_path / "python.tar.gz"
    far = Settings(spark_master="spark://m:7077", spark_driver_host="driver.example", spark_python_archive=str(archive))
    with pytest.raises(TieoutError, match="there is no such file") as caught:
        executors_conf(far)
    assert f"./scripts/tieout pack --to {archive}" in caught.value.next
    archive.touch()
    assert executors_conf(far)["spark.archives"] == f"{archive.as_uri()}#tieout"
    assert (python_of(far), python_of(Settings())) == ("./tieout/bin/python", sys.executable)
    assert network_conf(far)["spark.network.crypto.enabled"] == "true"
    assert network_conf(Settings()) == {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    local = Settings(spark_python_archive="/nowhere")
    assert (executors_conf(local), python_of(local)) == ({}, sys.executable)
