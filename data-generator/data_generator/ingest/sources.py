"""Which files a SOURCE means: a file, the files of a folder, those that a pattern matches, or objects of a store."""

import glob
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.bucket import Bucket
from core.settings import Settings
from core.text import shown
from data_generator.ingest.errors import SourceError

# Names of files that another program has not finished.
UNFINISHED: Final = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
_STORE: Final = "s3://"


@dataclass(frozen=True)
class Item:
    """A file, or an object of a store.

    Attributes:
        name: its full path or its address.
        path: where it is; None: in the store.
        bucket: the bucket, without a prefix.
        key: of the object.
        version: size and time of change, where they are cheap to ask for: another one is another content.
    """

    name: str
    path: Path | None = None
    bucket: Bucket | None = None
    key: str = ""
    version: tuple[int, int] = (0, 0)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Yield a file with the content; of an object a private copy, which is removed afterwards.

        Raises:
            TieoutError: the store is away, or has no such object.
        """
        if self.bucket is None:
            yield self.path or Path(self.name)
            return
        with tempfile.TemporaryDirectory(prefix="tieout-ingest-") as folder:
            try:
                yield self.bucket.fetch(self.key, Path(folder))
            except FileNotFoundError:
                raise SourceError(self.name, "the store has no such object", "name one that is there") from None


def find_items(sources: Sequence[str], settings: Settings, *, may_be_none: bool = False) -> list[Item]:
    """Return the files and objects of some sources, each once, those of one source in the order of their names.

    Args:
        sources: paths, patterns, and s3://BUCKET/KEY or PREFIX/. A folder means the files in it: without those in its
            folders, hidden ones, and those whose name says that they are not finished.
        settings: where the store is, and its keys.
        may_be_none: a source without a file is no error.

    Raises:
        SourceError: there is no such file, or a folder or pattern has none.
        OutageError: the store is away.
    """
    found: dict[str, Item] = {}
    for each in sources:
        items = _objects_of(each, settings) if each.startswith(_STORE) else _files_of(each)
        if not items and not may_be_none:
            what = "no object has a name that begins so" if each.startswith(_STORE) else "it has no file"
            raise SourceError(each, what, f"name a file that is there: ls {shown(Path(each).parent)}")
        found.update({item.name: item for item in items})
    return list(found.values())


def _files_of(source: str) -> list[Item]:
    path = Path(source)
    try:
        if path.is_dir():
            return [_item(each) for each in sorted(path.iterdir()) if is_finished(each)]
        if path.exists() or not glob.has_magic(source):
            return [_item(path)]
        matched = sorted(map(Path, glob.glob(source, recursive=True)))  # noqa: PTH207  (the whole path is a pattern)
        return [_item(each) for each in matched if is_finished(each)]
    except (OSError, ValueError) as error:
        raise SourceError(source, getattr(error, "strerror", None) or str(error), "name a file") from None


def _item(path: Path) -> Item:
    try:
        found = path.stat()
        version = (found.st_size, found.st_mtime_ns)
    except (OSError, ValueError):  # whoever opens it says what is wrong
        version = (0, 0)
    return Item(str(path.absolute() if "\0" in str(path) else path.resolve()), path, version=version)


def _objects_of(source: str, settings: Settings) -> list[Item]:
    name, _, key = source.removeprefix(_STORE).partition("/")
    if not name:
        raise SourceError(source, "it names no bucket", "write it as s3://BUCKET/PREFIX/")
    keys = (settings.lake_access_key, settings.lake_secret_key)
    access_key, secret_key = (each.get_secret_value() if each else "" for each in keys)
    bucket = Bucket(name, "", settings.lake_endpoint, settings.lake_region, access_key, secret_key)
    folder, _, begin = key.rpartition("/")
    sizes = bucket.sizes(folder)
    base = f"{folder}/" if folder else ""
    found = [
        Item(f"{_STORE}{name}/{base}{each}", None, bucket, f"{base}{each}", (size, 0))
        for each, size in sorted(sizes.items())
        if each.startswith(begin) and "/" not in each and size and not each.startswith(".") and not _unfinished(each)
    ]
    exact = [item for item in found if item.key == key]
    return exact or found


def is_finished(file: Path) -> bool:
    """Say whether a path is a regular file that no other program is about to rename."""
    return file.is_file() and not file.name.startswith(".") and not _unfinished(file.name)


def _unfinished(name: str) -> bool:
    return name.endswith(UNFINISHED)
