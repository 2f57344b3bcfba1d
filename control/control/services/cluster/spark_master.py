"""Spark's master: it tells the stream's driver which workers have room for its executors."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from control.accounts import own_folder
from control.loopback import page_answers
from control.service import INTERACTIVE, Address, Folder, Group, Service, Settings
from control.services.cluster._spark import environment, java
from core.layout import Layout

if TYPE_CHECKING:
    from control.processes import Platform


def _memory(layout: Layout) -> Path:
    """Return where a master that is killed has its workers and applications for the next one."""
    return layout.state / "spark-master"


def _command(platform: "Platform") -> list[str]:
    settings = platform.settings
    recovery = (
        "-Dspark.deploy.recoveryMode=FILESYSTEM",
        f"-Dspark.deploy.recoveryDirectory={_memory(platform.layout)}",
    )
    ports = ("--port", settings["SPARK_MASTER_PORT"], "--webui-port", settings["SPARK_MASTER_UI_PORT"])
    return [*java("master.Master", *recovery), "--host", "127.0.0.1", *ports]


def _forget(platform: "Platform") -> None:
    """Begin without the workers of an earlier start: they are gone, and would be waited for."""
    shutil.rmtree(_memory(platform.layout), ignore_errors=True)
    own_folder(_memory(platform.layout), platform.accounts.services, 0o700)


def _url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings['SPARK_MASTER_UI_PORT']}"


SERVICE = Service(
    name="spark-master",
    place=14,
    group=Group.BASE,
    command=_command,
    environment=environment,
    adds={"SPARK_MASTER_PORT": "7077", "SPARK_MASTER_UI_PORT": "8090"},
    ports=("SPARK_MASTER_PORT", "SPARK_MASTER_UI_PORT"),
    priority=INTERACTIVE,
    follows=lambda settings: {"SPARK_MASTER": f"spark://127.0.0.1:{settings['SPARK_MASTER_PORT']}"},
    check=page_answers("SPARK_MASTER_UI_PORT", "/json/"),
    url=_url,
    addresses=lambda platform: [Address("Spark's master", _url(platform.settings), place=31)],
    folders=lambda layout, _: [Folder(_memory(layout))],
    prepare=_forget,
)
