"""An S3 store of our own, SeaweedFS: how it is installed, guarded and started.

One process has all its parts, on 127.0.0.1. Who asks needs the lake's keys, a token that only the parts can sign, or
their certificate: docs/decisions/0035-an-object-store-of-our-own.md names each port.
"""

import json
import os
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from control.accounts import as_user, own_file, own_folder
from control.env import read_env
from control.registry import chosen_profiles
from core.bucket import Bucket
from core.errors import OutageError, TieoutError
from core.layout import Layout

CERTIFICATES = Path(__file__).with_name("store_certificates.py")
BUCKET = "lake"
# Each part has a port for HTTP and one for its own protocol.
PARTS = ("s3", "filer", "master", "volume", "admin")
PORTS = 2 * len(PARTS)
# Go's collector works towards it; what is written comes on top for a moment.
MEMORY = "256MiB"
READY_SECONDS = 60.0
STOP_SECONDS = 20


@dataclass(frozen=True)
class Store:
    """A store that can be started.

    Attributes:
        folder: its objects and its configuration, private.
        ports: for each of PARTS its port for HTTP and its port for its own protocol; the first one speaks S3.
        access_key: of the one account, which may do everything but make and remove buckets.
        user: whose process it is; None: the caller's.
    """

    layout: Layout
    folder: Path
    ports: Sequence[int]
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    user: str | None = None

    @property
    def endpoint(self) -> str:
        """The address for LAKE_ENDPOINT."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def console(self) -> str:
        """The address of the pages for people: user admin, the lake's secret key."""
        return f"http://127.0.0.1:{self._ports['admin'][0]}"

    @property
    def _ports(self) -> Mapping[str, tuple[int, int]]:
        return dict(zip(PARTS, zip(self.ports[::2], self.ports[1::2], strict=True), strict=True))

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a lake that is in the store."""
        return {
            "LAKE_URL": f"s3://{BUCKET}",
            "LAKE_ENDPOINT": self.endpoint,
            "LAKE_ACCESS_KEY": self.access_key,
            "LAKE_SECRET_KEY": self.secret_key,
        }

    @property
    def command(self) -> list[str]:
        """The program and its arguments; no secret is among them."""
        options = {
            "dir": self.folder / "objects",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "bucket": BUCKET,
            # Neither master nor filer knows a login for HTTP; the parts do without.
            "disableHttp": "true",
            "s3.config": self.folder / "s3.json",
            "s3.autoCreateBucket": "false",
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "webdav": "false",
            "master.telemetry": "false",
            "volume.preStopSeconds": 0,
        }
        for part, (port, own) in self._ports.items():
            options |= {f"{part}.port": port, f"{part}.port.grpc": own}
        return [
            str(program(self.layout)),
            "-logtostderr=true",
            "mini",
            *(f"-{name}={value}" for name, value in options.items()),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """What it gets beside its arguments."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "GOMEMLIMIT": MEMORY,
            "WEED_ADMIN_USER": "admin",
            "WEED_ADMIN_PASSWORD": self.secret_key,
        }

    def prepare(self) -> None:
        """Write certificates, keys and accounts; the tokens' keys are drawn anew at each start.

        Raises:
            TieoutError: the store is not installed.
        """
        python = program(self.layout).with_name("python")
        if not program(self.layout).exists():
            raise TieoutError(
                "the object store is not installed.", "nothing was started.", "./scripts/setup.sh --store"
            )
        own = self.folder / ".seaweedfs"
        for folder in (self.folder, self.folder / "objects", own):
            own_folder(folder, self.user, 0o700)
        if not (own / "store.key").exists():
            subprocess.run(  # type: ignore[call-overload]
                [python, "-I", CERTIFICATES, own], check=True, cwd="/", **as_user(self.user)
            )
        own_file(own / "security.toml", _security(own), self.user)
        own_file(self.folder / "s3.json", json.dumps(self._accounts()), self.user)

    def _accounts(self) -> dict[str, object]:
        keys = {"accessKey": self.access_key, "secretKey": self.secret_key}
        rights = ["Read", "Write", "List", "Tagging"]  # makes and removes no bucket
        return {"identities": [{"name": "lake", "credentials": [keys], "actions": rights}]}

    def wait(self, seconds: float) -> None:
        """Return when it answers and has its bucket.

        Raises:
            OutageError: it does not within so many seconds.
        """
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise OutageError(
                    f"the object store does not come up at {self.endpoint}.",
                    "its objects are whole.",
                    "./scripts/tieout logs store",
                )
            time.sleep(0.2)

    def is_ready(self) -> bool:
        """Say whether it answers and has its bucket, which it makes a moment after it answers."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=2):  # noqa: S310  (our own address)
                pass
            Bucket(BUCKET, "", self.endpoint, "us-east-1", self.access_key, self.secret_key).names("-")
        except (OSError, TieoutError):
            return False
        return True


def _security(folder: Path) -> str:
    """Return security.toml: tokens for HTTP, certificates for the parts' own protocol."""
    tokens = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    lines = [f'[{name}]\nkey = "{secrets.token_hex(32)}"' for name in tokens]
    lines.append(f'[grpc]\nca = "{folder / "ca.crt"}"')
    for part in (*PARTS, "client", "worker", "msg_broker", "msg_agent"):
        lines.append(f'[grpc.{part}]\ncert = "{folder / "store.crt"}"\nkey = "{folder / "store.key"}"')
    return "\n".join(lines) + "\n"


def folder(layout: Layout) -> Path:
    """Return where the store of a home keeps its objects."""
    return layout.state / "store"


def is_elsewhere(settings: Mapping[str, str]) -> bool:
    """Say whether the lake is in a store that somebody else runs."""
    endpoint = settings.get("LAKE_ENDPOINT", "")
    return settings.get("LAKE_URL", "").startswith("s3:") and not endpoint.startswith("http://127.0.0.1:")


def holds_lake(layout: Layout) -> bool:
    """Say whether the lake of a home is in the store that it runs itself."""
    values = read_env(layout.env_file)
    is_here = "store" in chosen_profiles(layout) and values.get("LAKE_URL", "").startswith("s3:")
    return is_here and not is_elsewhere(values)


def program(layout: Layout) -> Path:
    """Return the store's program, installed or not."""
    return layout.environments / "store" / "bin" / "weed"


@contextmanager
def running_store(store: Store) -> Iterator[subprocess.Popen[bytes]]:
    """Run a store outside of a platform, as tests do; kill what does not stop.

    Raises:
        TieoutError: the store is not installed, or does not come up.
    """
    store.prepare()
    log = store.folder / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            store.command, env=store.environment, cwd=store.folder, stdout=file, stderr=file, start_new_session=True
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not store.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise OutageError(
                    f"the object store does not come up at {store.endpoint}.", "its objects are whole.", f"read {log}"
                )
            time.sleep(0.2)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
