"""The lake: where its tables are, which files they have, and how they are read. Nobody else builds a path of it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from core.bucket import Bucket
from core.errors import TieoutError
from core.layout import Layout
from core.places import LocalPlace, Place
from core.settings import Settings

BRONZE, DEAD_LETTERS = "raw_transactions", "dead_letter_queue"
# What is copied from a store at once, where each file is read only once.
PORTION_BYTES = 256 << 20

WHOLE = "the lake is as it was found; nothing was skipped."
_COMMIT = re.compile(r"(\d{20})\.json")


class LakeLogError(TieoutError):
    """The log of a table is damaged, or no longer has what is asked for."""


@dataclass(frozen=True)
class LiveFile:
    """A Parquet file of one version of a table.

    Attributes:
        path: in the table's folder.
        size: bytes.
        statistics: what the log says beside it, such as `num_records` and `min.occurred_at`.
    """

    path: str
    size: int
    statistics: Mapping[str, Any]


@dataclass(frozen=True)
class LakeTable:
    """A Delta table of the lake. It may not be there yet.

    Attributes:
        place: the lake's.
        name: of the table, and of its folder.
    """

    place: Place
    name: str

    def __str__(self) -> str:
        return self.uri

    @property
    def uri(self) -> str:
        """The table's address, for delta-rs, Spark and people."""
        return f"{self.place.url}/{self.name}"

    @property
    def storage_options(self) -> dict[str, str]:
        """What delta-rs needs beside the address, keys among it."""
        return self.place.storage_options

    @property
    def folder(self) -> Path | None:
        """The table's folder, where it is one of this machine."""
        return self.place.folder(self.name)

    def exists(self) -> bool:
        """Say whether the table is there."""
        return self.newest_version() is not None

    def newest_version(self) -> int | None:
        """Return the newest version in the log; None where there is no table."""
        return next(self.versions_backwards(), None)

    def versions(self, after: int = -1) -> list[int]:
        """Return the versions in the log that come after one, in order."""
        names = self.place.names(f"{self.name}/_delta_log", f"{after:020}.json" if after >= 0 else "")
        return [int(match[1]) for match in map(_COMMIT.fullmatch, names) if match]

    def versions_backwards(self) -> Iterator[int]:
        """Yield the versions in the log, newest first; the old ones are listed when they are asked for."""
        checkpoint = self._last_checkpoint()
        recent = self.versions(checkpoint)
        yield from reversed(recent)
        if checkpoint >= 0:
            yield from (version for version in reversed(self.versions()) if version not in recent)

    def _last_checkpoint(self) -> int:
        try:
            return int(json.loads(self.place.read(f"{self.name}/_delta_log/_last_checkpoint"))["version"])
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return -1

    def actions(self, version: int) -> list[dict[str, Any]]:
        """Return the actions of a commit, as the log has them.

        Raises:
            FileNotFoundError: the log does not have the commit.
            LakeLogError: the commit is damaged.
        """
        file = f"{self.name}/_delta_log/{version:020}.json"
        try:
            text = self.place.read(file).decode("utf-8")
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise LakeLogError(
                f"version {version} of {self} is damaged: its commit is no JSON.",
                WHOLE,
                f"put {self.place.url}/{file} back from a copy",
            ) from None

    def delta(self, version: int | None = None) -> Any:
        """Return delta-rs' DeltaTable of a version, the newest without one. The table must be there.

        Its methods ask the place again: call those of a store within `place.answering()`.

        Raises:
            LakeLogError: delta-rs cannot read it.
        """
        from deltalake import DeltaTable  # noqa: PLC0415  (heavy)
        from deltalake.exceptions import DeltaError  # noqa: PLC0415

        try:
            with self.place.answering():
                return DeltaTable(self.uri, version, storage_options=self.storage_options or None)
        except DeltaError as error:
            raise LakeLogError(
                f"the log of {self} cannot be read: {str(error).splitlines()[0]}.", WHOLE, f"look at {self}/_delta_log"
            ) from error

    def count(self) -> int:
        """Return the rows of the newest version, by the log; 0 where there is no table."""
        return int(self.delta().count()) if self.exists() else 0

    def files(self, version: int | None = None) -> list[LiveFile]:
        """Return the files of a version, the newest without one; none where there is no table."""
        if not self.exists():
            return []
        import pyarrow as pa  # noqa: PLC0415  (heavy)

        added = pa.table(self.delta(version).get_add_actions(flatten=True)).to_pylist()
        # The log writes paths as URIs, which no file system knows.
        found = [LiveFile(unquote(each["path"]), each["size_bytes"], each) for each in added]
        return sorted(found, key=lambda file: file.path)

    def has(self, path: str) -> bool:
        """Say whether a file is there."""
        return self.place.size(f"{self.name}/{path}") is not None

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file that is there, of those that no version names too, and of the log's."""
        return self.place.sizes(self.name)

    def parquet(self, workspace: Any, paths: Sequence[str]) -> str | None:
        """Return the FROM clause with which DuckDB reads files of the table; None where there are none.

        Files of a store are copied into the workspace's temporary folder, and stay as long as it.

        Args:
            workspace: a connection whose temp_directory is there, and its own.
            paths: in the table's folder.

        Raises:
            FileNotFoundError: a store does not have a file. A missing file of a folder is DuckDB's to find.
        """
        if not paths:
            return None
        copies = _folder_of(workspace)
        files = [self.place.fetch(f"{self.name}/{path}", copies) for path in paths]
        listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
        return f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"

    def portions(self, workspace: Any, files: Sequence[LiveFile]) -> Iterator[str]:
        """Yield FROM clauses that make up the files, to be read one after the other and each once.

        What a store has is copied in portions of some PORTION_BYTES; all of a folder is one portion.
        """
        portions = _divided(files) if self.folder is None else iter([list(files)] if files else [])
        for portion in portions:
            paths = [file.path for file in portion]
            source = self.parquet(workspace, paths)
            assert source is not None  # noqa: S101  # a portion is not empty
            yield source
            if self.folder is None:
                for path in paths:
                    (_folder_of(workspace) / self.name / path).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the table, its log first: what a kill leaves is no table."""
        self.place.remove(f"{self.name}/_delta_log")
        self.place.remove(self.name)


def _folder_of(workspace: Any) -> Path:
    return Path(workspace.execute("select current_setting('temp_directory')").fetchall()[0][0])


def _divided(files: Sequence[LiveFile]) -> Iterator[list[LiveFile]]:
    portion: list[LiveFile] = []
    for file in files:
        if portion and sum(each.size for each in portion) + file.size > PORTION_BYTES:
            yield portion
            portion = []
        portion.append(file)
    if portion:
        yield portion


@dataclass(frozen=True)
class Lake:
    """The tables below one place.

    Attributes:
        names: of the tables, for each entity in the order in which a batch is committed.
    """

    place: Place
    names: tuple[str, ...] = (DEAD_LETTERS, BRONZE)

    @classmethod
    def of(cls, settings: Settings, layout: Layout, names: Sequence[str] = (DEAD_LETTERS, BRONZE)) -> "Lake":
        """Return the lake that LAKE_URL names; nothing is asked or made."""
        return cls.at(settings.lake_url, settings, layout, names)

    @classmethod
    def at(cls, url: str, settings: Settings, layout: Layout, names: Sequence[str] = (DEAD_LETTERS, BRONZE)) -> "Lake":
        """Return the lake at an address of the form of LAKE_URL, with the endpoint and keys of the settings.

        Raises:
            TieoutError: a store's keys are not whole.
        """
        scheme, _, rest = url.partition(":")
        if scheme == "file":
            path = rest.removeprefix("//")
            return cls(LocalPlace(layout.home / path), tuple(names))
        bucket, _, prefix = rest.removeprefix("//").partition("/")
        keys = [key.get_secret_value() if key else "" for key in (settings.lake_access_key, settings.lake_secret_key)]
        if not all(keys) and (any(keys) or settings.lake_endpoint):
            lacking = "LAKE_SECRET_KEY" if keys[0] else "LAKE_ACCESS_KEY"
            raise TieoutError(
                f"{lacking} is not set, and the store of {url} asks for it.",
                "nothing was read or written.",
                f"set LAKE_ACCESS_KEY and LAKE_SECRET_KEY in {layout.env_file}",
            )
        return cls(Bucket(bucket, prefix, settings.lake_endpoint, settings.lake_region, *keys), tuple(names))

    @property
    def url(self) -> str:
        """The lake's address for people."""
        return self.place.url

    @property
    def folder(self) -> Path | None:
        """The tables' folder, where it is one of this machine."""
        return self.place.folder("")

    def table(self, name: str) -> LakeTable:
        """Return a table by the name of its folder."""
        return LakeTable(self.place, name)

    @property
    def bronze(self) -> LakeTable:
        """The well-formed events of payments."""
        return self.table(BRONZE)

    @property
    def dead_letters(self) -> LakeTable:
        """The malformed events of payments."""
        return self.table(DEAD_LETTERS)

    @property
    def tables(self) -> tuple[LakeTable, ...]:
        """Every table, for each entity in the order in which a batch is committed."""
        return tuple(map(self.table, self.names))
