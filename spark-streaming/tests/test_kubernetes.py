"""The manifest for Kubernetes, as far as it can be held against the code without a cluster."""

import os
import subprocess
from pathlib import Path

import pyspark
import pytest
import yaml

from control.services.stream import SERVICE
from core.layout import CHECKOUT, Layout
from core.settings import Settings, parse_settings
from spark_streaming import session
from spark_streaming.executors import are_elsewhere, network_conf

MANIFEST = CHECKOUT / "docs" / "kubernetes" / "stream.yaml"
PARTS = {
    (each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))
}
POD = PARTS["Deployment", "tieout-stream"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
COMMAND: list[str] = CONTAINER["command"]
CONF = dict(word.removeprefix("--conf=").split("=", 1) for word in COMMAND if word.startswith("--conf="))
GIVEN: dict[str, str] = PARTS["ConfigMap", "tieout-settings"]["data"]
SECRETS = [each for each in CONTAINER["env"] if "secretKeyRef" in each["valueFrom"]]


def test_its_parts_name_each_other() -> None:
    assert len(PARTS) == 6
    assert {part["metadata"]["namespace"] for part in PARTS.values()} == {"tieout", CONF["spark.kubernetes.namespace"]}
    account = POD["serviceAccountName"]
    assert ("ServiceAccount", account) in PARTS
    assert PARTS["RoleBinding", account]["subjects"][0]["name"] == account
    assert CONF["spark.kubernetes.authenticate.serviceAccountName"] == account
    service = PARTS["Service", "tieout-stream"]
    assert service["spec"]["selector"] == PARTS["Deployment", "tieout-stream"]["spec"]["template"]["metadata"]["labels"]
    assert GIVEN["SPARK_DRIVER_HOST"] == f"{service['metadata']['name']}.tieout.svc"
    ports = {str(each["port"]) for each in service["spec"]["ports"]}
    assert ports == {CONF["spark.driver.port"], CONF["spark.driver.blockManager.port"]}
    assert PARTS["Deployment", "tieout-stream"]["spec"]["strategy"] == {"type": "Recreate"}


def test_every_setting_in_it_is_one_that_the_stream_gets_and_has_a_value_that_it_takes() -> None:
    names = {*GIVEN, *(each["name"] for each in SECRETS)}
    assert len(names) > 20
    assert names <= {name.upper() for name in Settings.model_fields}
    assert names <= set(SERVICE.knows), "the service of a platform here gets it too"
    assert all(each["valueFrom"]["secretKeyRef"]["key"] == each["name"] for each in SECRETS)
    secrets = {each["name"]: "hush" for each in SECRETS}
    settings = parse_settings({**GIVEN, **secrets}, Layout(CHECKOUT, Path("/var/lib/tieout")))
    assert are_elsewhere(settings)
    assert settings.dsn("stream")
    for name, path in GIVEN.items():
        if name.endswith("_CA_FILE"):
            assert any(path.startswith(mount["mountPath"]) for mount in CONTAINER["volumeMounts"])


def test_the_session_leaves_what_the_command_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(session, "jar_files", lambda _: [])
    archive = tmp_path / "python.tar.gz"
    archive.touch()
    settings = parse_settings({**GIVEN, "SPARK_PYTHON_ARCHIVE": str(archive)}, Layout(CHECKOUT, tmp_path))
    ours = session.session_conf(settings, Layout(CHECKOUT, tmp_path))
    assert not set(CONF) & set(ours)
    assert f"--master={ours['spark.master']}" in COMMAND
    assert f"--driver-memory={ours['spark.driver.memory']}" in COMMAND
    assert ours["spark.executor.instances"] == "2"
    assert "spark.python.unix.domain.socket.dir" not in ours
    assert network_conf(settings)["spark.network.crypto.enabled"] == "true"


def launched(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Let Spark's own launcher read a command of spark-submit; it runs nothing."""
    home = Path(pyspark.__file__).parent
    return subprocess.run(
        ["java", "-cp", f"{home / 'jars'}/*", "org.apache.spark.launcher.Main", "org.apache.spark.deploy.SparkSubmit",
         *command], env={**os.environ, "SPARK_HOME": str(home), "SPARK_SCALA_VERSION": "2.13"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.services
def test_sparks_launcher_takes_the_command_and_knows_kubernetes() -> None:
    assert COMMAND[0] == "spark-submit"
    done = launched(COMMAND[1:])
    assert done.returncode == 0, done.stderr
    read = done.stdout.split("\0")
    assert {"k8s://https://kubernetes.default.svc", "client", "/srv/tieout/spark-streaming/stream_processor.py"} < set(
        read
    )
    wrong = launched(["--deploy-modus=client", *COMMAND[2:]])
    assert "Unrecognized option: --deploy-modus" in wrong.stderr + wrong.stdout
    assert list((Path(pyspark.__file__).parent / "jars").glob("spark-kubernetes_*.jar"))
    application = next(word for word in COMMAND if word.endswith(".py"))
    assert (CHECKOUT / application.removeprefix("/srv/tieout/")).is_file()
