"""Where everything stands on disk: one home, the checkout by default, another by TIEOUT_HOME."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Layout:
    """Paths of one platform.

    Attributes:
        checkout: the source tree; environments and JARs are shared from here.
        home: the state's root: `.env`, `.tieout/` and `data/` of this platform.
    """

    checkout: Path
    home: Path

    @property
    def env_file(self) -> Path:
        """Settings and generated secrets, mode 600."""
        return self.home / ".env"

    @property
    def readable_env_file(self) -> Path | None:
        """`env_file` where this account may read it; a service that must not has what it needs in its environment."""
        return self.env_file if self.env_file.is_file() and os.access(self.env_file, os.R_OK) else None

    @property
    def state(self) -> Path:
        """Everything that services keep for themselves."""
        return self.home / ".tieout"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Sockets, pid files, requests between processes."""
        return self.state / "run"

    @property
    def kafka_data(self) -> Path:
        """The broker's log."""
        return self.state / "kafka"

    @property
    def postgres_data(self) -> Path:
        """The PostgreSQL cluster."""
        return self.state / "postgres"

    @property
    def data(self) -> Path:
        """The lake and the files that people exchange."""
        return self.home / "data"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints of the stream's queries."""
        return self.data / "checkpoints"

    def checkpoint(self, query: str) -> Path:
        """Return the checkpoint of a query of the stream: its name and version."""
        return self.checkpoints / f"{query}-v1"

    @property
    def writer_lock(self) -> Path:
        """Locked by the one process that writes the lake."""
        return self.data / ".writer.lock"

    @property
    def stream_ready(self) -> Path:
        """Holds the process id of the stream while its queries run."""
        return self.run / "stream.pid"

    @property
    def stream_failed(self) -> Path:
        """Says which entities the stream does not serve; not there where it serves all."""
        return self.run / "stream-failed.json"

    @property
    def batch_files(self) -> Path:
        """Statements, one a business day."""
        return self.data / "batch_files"

    @property
    def input_chunks(self) -> Path:
        """Chunks of a file that `tieout chunks` cuts, where no store is named."""
        return self.data / "input_chunks"

    @property
    def batches(self) -> Path:
        """Daily batches as they arrive: a folder a day, and what their keys stand for."""
        return self.data / "raw"

    @property
    def cleaned_batches(self) -> Path:
        """Daily batches without the rows that can be no payments."""
        return self.data / "processed"

    @property
    def undelivered(self) -> Path:
        """Events that a producer could not deliver before it had to end."""
        return self.data / "undelivered"

    @property
    def docs_site(self) -> Path:
        """The lineage site: dbt's documentation as one page."""
        return self.data / "docs-site"

    @property
    def samples(self) -> Path:
        """Bundled data, part of the source tree."""
        return self.checkout / "data" / "samples"

    @property
    def environments(self) -> Path:
        """Python environments, one a set of dependencies that fits together."""
        return self.checkout / ".tieout" / "env"

    @property
    def jars(self) -> Path:
        """JARs of the broker and of Spark, checked by sha256."""
        return self.checkout / ".tieout" / "jars"


def find_layout(environ: Mapping[str, str] | None = None) -> Layout:
    """Return the layout of the platform that TIEOUT_HOME names, else of the checkout.

    Raises:
        TieoutError: TIEOUT_HOME names no folder: its user is unknown, or its links go round.
    """
    named = (os.environ if environ is None else environ).get("TIEOUT_HOME")
    try:
        return Layout(CHECKOUT, Path(named).expanduser().resolve() if named else CHECKOUT)
    except (RuntimeError, OSError) as error:
        from core.errors import TieoutError  # noqa: PLC0415  (errors name the layout)

        raise TieoutError(
            f"TIEOUT_HOME={named} names no folder: {error}.", "nothing was done.", "set TIEOUT_HOME to a folder's path"
        ) from None
