"""The lake's part of a backup: the files of one version, what they hold, and the way back."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import unquote

from contracts.entities import load_entities
from control.backup.manifest import NOTHING_WRITTEN, StoredFile, TableCopy, stored_name
from control.lake_contents import LOG, PIECE, digest
from control.progress import say
from core import failpoints
from core.errors import TieoutError
from core.lake import Lake, LakeTable
from core.places import Place

HINT = f"{LOG}_last_checkpoint"
LINE_EVERY_SECONDS = 10.0

_OF_A_VERSION = re.compile(r"(\d{20})\.")


def versions_to_copy(lake: Lake, read: Mapping[str, int]) -> dict[str, int]:
    """Return a version of each table that is there: the two of an entity account for the same offsets, as far as
    commits allow.

    Bronze is asked first. Dead letters, which come first in each batch, may have got further by then.

    Args:
        lake: the lake.
        read: the versions that the warehouse has read, by table: no older one is returned.
    """
    found: dict[str, int] = {}
    for entity in load_entities():
        found |= _versions_of(lake.table(entity.bronze), lake.table(entity.dead_letters), read)
    return found


def _versions_of(bronze: LakeTable, dead_letters: LakeTable, read: Mapping[str, int]) -> dict[str, int]:
    from warehouse.delta_log import newest_record, newest_within

    found = {}
    if (version := bronze.newest_version()) is not None:
        found[bronze.name] = version
    if (newest := dead_letters.newest_version()) is not None:
        topic_id, ends = newest_record(bronze, version) if version is not None else (None, {})
        found[dead_letters.name] = max(
            newest if topic_id is None else newest_within(dead_letters, topic_id, ends) or 0,
            read.get(dead_letters.name, 0),
        )
    return found


def files_of(table: LakeTable, version: int, read: int) -> list[str]:
    """Return what a copy of a version needs: its log, its files, and those of the commits that no load has read yet.

    A file that such a commit added may have been merged into another one since.
    """
    logs = [name for name in table.place.names(f"{table.name}/{LOG.rstrip('/')}") if _version_of(name) <= version]
    later = [
        unquote(action["add"]["path"])
        for commit in table.versions(read)
        if commit <= version
        for action in table.actions(commit)
        if "add" in action
    ]
    return sorted({*(file.path for file in table.files(version)), *later}) + [f"{LOG}{name}" for name in logs]


def _version_of(name: str) -> float:
    match = _OF_A_VERSION.match(name)
    return int(match[1]) if match and not name.endswith(".tmp") else float("inf")


def copy_table(
    table: LakeTable,
    version: int,
    place: Place,
    *,
    read: int,
    known: Mapping[str, StoredFile],
    contents: Mapping[str, Any],
) -> TableCopy:
    """Copy a version of a table; what is at the backup's address already, with the same content, is not copied again.

    Args:
        table: of the lake.
        version: to copy.
        place: where backups are.
        read: the version that the warehouse has read.
        known: files of earlier backups of the same table, by name in its folder. Files of a lake never change.
        contents: as `contents_of` returns it.

    Raises:
        TieoutError: the lake lacks a file.
    """
    files, said = dict[str, StoredFile](), time.monotonic()
    names = files_of(table, version, read)
    failpoints.reach("backup.before-lake")
    for number, name in enumerate(names):
        try:
            files[name] = _store(table, name, place, known.get(name))
        except FileNotFoundError:
            if name.startswith(LOG) and name != f"{LOG}{version:020}.json":
                continue  # the log is cleaned behind its checkpoints while it is copied
            raise TieoutError(
                f"{table} lacks {name}, which version {version} names.",
                "the lake is unchanged; nothing at the address is a new backup.",
                "./scripts/tieout proof --full",
            ) from None
        if time.monotonic() - said > LINE_EVERY_SECONDS:
            say(f"  {table.name}: {number + 1:,} of {len(names):,} files")
            said = time.monotonic()
    return TableCopy(version, contents, files, _hint(table, files))


def _store(table: LakeTable, name: str, place: Place, known: StoredFile | None) -> StoredFile:
    path = f"{table.name}/{name}"
    if known and _is_there(place, known):
        return known
    found = digest(table.place, path)
    file = StoredFile(stored_name(found), table.place.size(path) or 0, found)
    if not _is_there(place, file):
        place.remove(file.name)  # cut short, or damaged
        failpoints.reach("backup.before-file")
        copy_file(partial(table.place.open_input, path), place, file.name, file.sha256)
    return file


def _is_there(place: Place, file: StoredFile) -> bool:
    return place.size(file.name) == file.size and digest(place, file.name) == file.sha256


def copy_file(opened: Callable[[], Any], place: Place, name: str, sha256: str) -> None:
    """Copy a file whose content is known.

    Raises:
        TieoutError: another content was read; no file is left.
    """
    found = hashlib.sha256()
    with opened() as source, place.open_output(name) as file:
        while piece := source.read(PIECE):
            found.update(piece)
            file.write(piece)
        if found.hexdigest() != sha256:
            raise TieoutError(
                f"{name} at {place.url} would not be what it should: its source has changed or is damaged.",
                "no such file was left.",
                "the same command again",
            )


def _hint(table: LakeTable, files: Mapping[str, StoredFile]) -> str | None:
    """Return the log's hint at its last checkpoint, where that one is copied."""
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        text = table.place.read(f"{table.name}/{HINT}").decode()
        start = f"{LOG}{int(json.loads(text)['version']):020}.checkpoint"
        if any(name.startswith(start) for name in files):
            return text
    return None


def restore_table(table: LakeTable, copy: TableCopy, place: Place) -> None:
    """Bring a table back: its data, then its log, the first commit last.

    Raises:
        TieoutError: a file is not what the manifest says.
    """
    said = time.monotonic()
    data, logs = ([name for name in copy.files if name.startswith(LOG) is is_log] for is_log in (False, True))
    names = [*data, *sorted(logs, reverse=True)]
    for number, name in enumerate(names):
        file = copy.files[name]
        if name.startswith(LOG):
            failpoints.reach("restore.before-log")
        copy_file(partial(place.open_input, file.name), table.place, f"{table.name}/{name}", file.sha256)
        if time.monotonic() - said > LINE_EVERY_SECONDS:
            say(f"  {table.name}: {number + 1:,} of {len(names):,} files")
            said = time.monotonic()
    if copy.last_checkpoint is not None:
        table.place.create(f"{table.name}/{HINT}", copy.last_checkpoint.encode())


def require_nothing_lacking(manifest_read: Mapping[str, Any], copies: Mapping[str, TableCopy]) -> None:
    """Refuse a backup whose lake has less than its warehouse has read.

    Raises:
        TieoutError: another table is in the place of the one that was read, or an older version of it.
    """
    for name, read in manifest_read.items():
        copy = copies.get(name)
        if copy is None or copy.version < read["version"] or copy.contents["table_id"] != read["table_id"]:
            has = "is not there" if copy is None else f"is {copy.contents['table_id']} at version {copy.version}"
            raise TieoutError(
                f"the warehouse has read {name} {read['table_id']} up to version {read['version']}, "
                f"and the lake's {has}.",
                NOTHING_WRITTEN,
                "./scripts/tieout load says which lake this warehouse belongs to",
            )
