"""A platform for tests: broker and database in a temporary home, on free ports, under the same supervisor."""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from control import supervision
from control.bring_up import bring_up_base, prepare
from control.env import change_env, ensure_env
from control.ports import LISTENING, is_free
from control.processes import Platform
from control.store import PORTS, Store
from control.topics import administrator
from core.kafka_login import KafkaPlace, librdkafka_login
from core.layout import find_layout


@dataclass(frozen=True)
class Handle:
    """What a test may do with its platform.

    Attributes:
        home: the TIEOUT_HOME.
        env: every setting, TIEOUT_HOME with it, for os.environ or a child's environment.
    """

    platform: Platform
    home: Path
    env: dict[str, str] = field(repr=False)  # a failing test prints its arguments

    def start(self, name: str) -> None:
        """Start a service and wait until it answers."""
        process = self.platform.services[name]
        supervision.start_service(self.platform.layout, process)
        if process.service.wait:
            process.service.wait(self.env, 60)

    def stop(self, name: str) -> None:
        """Stop a service cleanly."""
        supervision.stop_service(self.platform.layout, self.platform.services[name])

    def kill(self, name: str) -> None:
        """Kill a service with SIGKILL; the supervisor starts it again by itself."""
        pid = supervision.process_states(self.platform.layout)[name]["pid"]
        os.kill(pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on at this moment, each another.

    Each process of a run of tests has a half of its own. They lie below the range from which the kernel takes the near
    end of any connection (32768 and up): a service that is started again later would find such a port taken now and
    then.
    """
    found: list[int] = []
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while len(found) < count:
        port = 22_000 + 5_000 * (worker % 2) + secrets.randbelow(5_000)
        if port not in found and is_free(port):
            found.append(port)
    return found


def free_store(folder: Path) -> Store:
    """Return an S3 store on ports of which nobody has one; it is not started."""
    return Store(find_layout(), folder, free_ports(PORTS), "lake-key", "hush-hush-hush")


@contextmanager
def temporary_home(prefix: str = "tieout test ä.", folder: Path | None = None) -> Iterator[Path]:
    """Yield a new home that service accounts can reach: pytest's own folders have mode 700.

    Its path has a blank and a letter that is not ASCII, as other people's machines have.
    """
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def temporary_platform(home: Path | None = None) -> Iterator[Handle]:
    """Yield a running broker and database with topics, users, roles and schemas; stop and remove them at the end.

    Args:
        home: the caller's own new folder, which stays; None: a temporary one.
    """
    with nullcontext(home) if home else temporary_home() as own:
        layout = find_layout({"TIEOUT_HOME": str(own)})
        ensure_env(layout)
        change_env(layout, dict(zip(LISTENING, map(str, free_ports(len(LISTENING))), strict=True)) | {"LOOP": "off"})
        platform = prepare(layout)
        try:
            platform = bring_up_base(platform)
            yield Handle(platform, own, {**platform.settings, "TIEOUT_HOME": str(own)})
        finally:
            supervision.shut_down(layout)


@contextmanager
def transaction(
    env: Mapping[str, str], values: Sequence[bytes], *, partition: int, abort: bool = False, topic: str = "transactions"
) -> Iterator[None]:
    """Send values in a transaction of a producer's, which stays open until the end of the block."""
    from confluent_kafka import Producer

    login = librdkafka_login(KafkaPlace.of(env), "admin", env["KAFKA_PASSWORD_ADMIN"])
    producer = Producer({**login, "transactional.id": secrets.token_hex(8)})
    producer.init_transactions()
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=partition)
    left = producer.flush(60)
    if left:
        raise RuntimeError(f"the broker did not take {left} of {len(values)} events")
    try:
        yield
    finally:
        if abort:
            producer.abort_transaction()
        else:
            producer.commit_transaction()


def add_partitions(env: Mapping[str, str], topic: str, count: int) -> None:
    """Give a topic more partitions, as an operator does."""
    with administrator(env) as admin:
        admin.create_partitions({topic: count})
