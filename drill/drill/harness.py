"""The drill harness: a platform of its own in a throw-away home, and the processes that the drill starts on it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from contracts.entities import load_entities
from control import supervision, throwaway
from control.bring_up import bring_up_base, prepare
from control.catching_up import behind, stream_is_ready
from control.env import change_env, ensure_env, lake_of
from control.offsets import end_offsets
from control.processes import Platform
from control.profiles import choose_profiles
from control.progress import say
from control.service import Group
from control.testing import free_ports
from core import failpoints
from core.files import write_file
from core.lake import Lake
from core.layout import Layout, find_layout
from drill.books import ask
from drill.child import PATIENCE, Child, DrillError

PREFIX = "tieout-drill-"
GIB = 2**30
MEMORY_NEEDED, DISK_NEEDED = 3 * GIB, 2 * GIB
# All that the drill takes from the caller's environment: a setting in it would point at the caller's own platform.
TAKEN = ("PATH", "HOME", "LANG", "LC_ALL", "TERM", "TMPDIR", "TZ", "JAVA_HOME", "NO_COLOR", "PYTHONPATH")
# A second loader is to be refused at once; a killed loader's session is gone within a second or two.
OWN_SETTINGS = {"LOADER_LOCK_WAIT_SECONDS": "10", "LOOP": "off"}
TOPIC = "transactions"


@dataclass
class Harness:
    """A running broker and database in a home of their own, and what the drill does with them.

    Attributes:
        keep: leave the files of the home at the end.
    """

    platform: Platform
    environment: Mapping[str, str] = field(repr=False)
    children: list[Child] = field(default_factory=list)
    stream: Child | None = None
    keep: bool = False

    @property
    def layout(self) -> Layout:
        """Where everything of it is."""
        return self.platform.layout

    @property
    def settings(self) -> Mapping[str, str]:
        """Every setting of it, secrets with them."""
        return self.platform.settings

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return lake_of(self.layout, self.settings)

    def start(self, *words: str, failpoint: str | None = None, **settings: str) -> Child:
        """Start a command of the platform beside the others; `failpoint` is an order for it."""
        number = len(self.children)
        out, log = (self.logs / f"{number:04}-{words[0]}.{kind}" for kind in ("out", "log"))
        environment = {**self.environment, **settings, **({failpoints.VARIABLE: failpoint} if failpoint else {})}
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "control", *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd="/",
                start_new_session=True,
            )
        self.children.append(Child(words, process, out, log))
        return self.children[-1]

    @property
    def logs(self) -> Path:
        """What the drill's commands said."""
        return self.layout.logs / "drill"

    def do(self, *words: str, **settings: str) -> str:
        """Run a command that has to succeed; return what it printed.

        Raises:
            DrillError: it failed.
        """
        child = self.start(*words, **settings)
        code = child.wait()
        if code != 0:
            raise DrillError(
                f"tieout {' '.join(words)} ended with exit code {code}: {child.last_words}",
                "the platform is as the command left it.",
                f"read {child.log}",
            )
        return child.out.read_text(encoding="utf-8")

    def json(self, *words: str) -> Any:
        """Run a command that has to succeed; return its JSON."""
        return json.loads(self.do(*words, "--json"))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database, past every part of ours."""
        return ask(self.settings, query)

    @property
    def order(self) -> Path:
        """The file with the running stream's order."""
        return self.layout.run / "drill-order"

    def give_order(self, order: str) -> None:
        """Tell the running stream where to die or wait."""
        write_file(self.order, order)

    def start_stream(self) -> None:
        """Start the stream where none runs; returns before it is ready."""
        if self.stream is None or not self.stream.alive:
            self.order.unlink(missing_ok=True)
            self.stream = self.start("stream", "--trigger", "1s", failpoint=f"@{self.order}")

    def ready_stream(self) -> Child:
        """Return the running stream, started and waited for where need be; one that ends at its start gets three tries.

        Raises:
            DrillError: it refuses to go on, or its query does not begin.
        """
        deadline, tries = time.monotonic() + PATIENCE, 0
        while True:
            self.start_stream()
            assert self.stream is not None  # noqa: S101  # it was just started
            if stream_is_ready(self.layout, self.stream.process.pid):
                return self.stream
            tries += not self.stream.alive
            if tries > 3 or time.monotonic() > deadline:
                raise DrillError(
                    f"the stream does not begin: {self.stream.last_words}",
                    "nothing was skipped.",
                    f"read {self.stream.log}",
                )
            time.sleep(0.1)

    def stop_stream(self) -> None:
        """End the stream cleanly."""
        stream, self.stream = self.stream, None
        if stream is not None and stream.alive:
            stream.process.send_signal(signal.SIGTERM)
            stream.wait()

    def settle_lake(self) -> None:
        """Return when the lake has all that the broker has now."""
        wanted = [(entity, end_offsets(self.settings, entity.topic.name)) for entity in load_entities()]
        self.until(lambda: not behind(self.lake, wanted), "the lake to have every event", self.ready_stream)

    def until(self, condition: Callable[[], bool], what: str, meanwhile: Callable[[], object] | None = None) -> None:
        """Wait for a condition.

        Raises:
            DrillError: it did not come.
        """
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise DrillError(f"waited {PATIENCE:.0f} s for {what}", "all is as it was.", f"read {self.logs}")
            if meanwhile:
                meanwhile()
            time.sleep(0.05)

    def kill_service(self, name: str) -> None:
        """Kill broker or database with SIGKILL; its supervisor starts it again."""
        pid = supervision.process_states(self.layout)[name]["pid"]
        if pid <= 1:  # 0 would be this very process group
            raise DrillError(f"{name} does not run.", "nothing was killed.", f"read {self.layout.logs}")
        os.kill(pid, signal.SIGKILL)

    def kill_and_hold(self, name: str) -> None:
        """Kill a service of the base with SIGKILL, and keep it from starting again."""
        self.kill_service(name)
        supervision.stop_service(self.layout, self.platform.services[name])

    def start_service(self, name: str) -> None:
        """Start a service that was stopped."""
        supervision.start_service(self.layout, self.platform.services[name])

    def restart_service(self, name: str) -> None:
        """Stop broker or database as its supervisor does, and start it again."""
        supervision.stop_service(self.layout, self.platform.services[name])
        self.start_service(name)

    def wait_for_services(self) -> None:
        """Return when broker, database and what else the harness's base has let clients in."""
        for name in self.platform.names(Group.BASE):
            wait = self.platform.registered[name].wait
            if wait:
                wait(self.settings, PATIENCE)

    def close(self) -> None:
        """End every process of this harness."""
        for child in self.children:
            child.kill()
        supervision.shut_down(self.layout)


def refuse_small_machine(folder: Path) -> None:
    """Raise when memory or disk would not do.

    Raises:
        DrillError: with what there is and what it takes.
    """
    memory, disk = psutil.virtual_memory().available, shutil.disk_usage(folder).free
    for what, there, needed in (("free memory", memory, MEMORY_NEEDED), (f"room in {folder}", disk, DISK_NEEDED)):
        if there < needed:
            raise DrillError(
                f"the drill needs {needed / GIB:.0f} GiB of {what}, and there are {there / GIB:.1f}.",
                "nothing was started.",
                "./scripts/stop.sh ends this platform's services; TMPDIR names another folder for the drill",
            )


@contextmanager
def drill_ground(profiles: Sequence[str] = ()) -> Iterator[Harness]:
    """Yield a running platform in a new home; all its processes end with it, and its files unless they are to be kept.

    The caller's own settings are forgotten in this process: they could point at another platform.

    Args:
        profiles: optional parts that it has.
    """
    for home in throwaway.sweep(PREFIX):
        say(f"  removed what a killed drill left: {home}")
    folder = throwaway.folder()
    refuse_small_machine(folder)
    environment = {name: os.environ[name] for name in TAKEN if name in os.environ}
    home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
    home.chmod(0o755)
    throwaway.claim(home)
    environment |= {"TIEOUT_HOME": str(home), "PYTHONUNBUFFERED": "1", **OWN_SETTINGS}
    os.environ.clear()
    os.environ.update(environment)
    layout, harness = find_layout(), None
    try:
        layout.state.mkdir()
        choose_profiles(layout, profiles, ())
        ports = [name for name in ensure_env(layout) if name.endswith("_PORT")]
        change_env(layout, dict(zip(ports, map(str, free_ports(len(ports))), strict=True)))
        harness = Harness(prepare(layout), environment)
        harness.logs.mkdir(parents=True, exist_ok=True)
        harness.platform = bring_up_base(harness.platform)
        yield harness
    finally:
        if harness is not None:
            harness.close()
        if harness is None or not harness.keep:
            shutil.rmtree(home, ignore_errors=True)
        else:
            throwaway.release(home)
