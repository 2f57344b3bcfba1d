"""Delta's transaction log as far as the warehouse reads it: the files that each commit added, its recorded offsets."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from contracts.entities import entity_names, load_entity
from core.errors import TieoutError
from core.lake import LakeTable


@dataclass(frozen=True)
class AddedFile:
    """A Parquet file that a commit added, in the table's folder, with the row count that the log states."""

    path: str
    rows: int | None


@dataclass(frozen=True)
class Lost:
    """Offsets that retention took before they were read, and that an operator accepted as lost.

    Attributes:
        begin: the first of them.
        behind: the offset behind the last one.
        reason: the operator's words.
    """

    partition: int
    begin: int
    behind: int
    reason: str


@dataclass(frozen=True)
class Gone:
    """A topic that was deleted, in place of which an operator accepted the commit's.

    Attributes:
        reason: the operator's words.
    """

    topic_id: str
    reason: str


@dataclass(frozen=True)
class Commit:
    """One version of a Delta table.

    Attributes:
        files: files added with dataChange; empty for compaction, vacuum and empty batches.
        topic_id: Kafka's id of the topic, None where the commit is not one of the stream's.
        start: first offset of the batch, by partition.
        end: offset behind the last one that the table accounts for, by partition.
        rows: how many rows the stream says it wrote.
        lost: offsets within start and end that no row will ever have.
        gaps: how many offsets of each partition, within start and end, the stream found to be a transaction's.
        gone: the topic that this commit's took the place of; None where the topic stays.
    """

    version: int
    files: tuple[AddedFile, ...]
    topic_id: str | None
    start: dict[int, int]
    end: dict[int, int]
    rows: int
    lost: tuple[Lost, ...] = ()
    gaps: dict[int, int] = field(default_factory=dict)
    gone: Gone | None = None


def _stopped(table: LakeTable, what: str, next_step: str = "") -> TieoutError:
    return TieoutError(
        f"the log of {table} {what}.",
        "silver and the watermark are as the last load left them; nothing was skipped.",
        next_step or f"look at {table}/_delta_log, then ./scripts/tieout proof --full",
    )


def table_id(table: LakeTable) -> str:
    """Return the id that Delta gave the table when it was made; another table at the same path has another one.

    Raises:
        TieoutError: the log does not say.
    """
    with suppress(FileNotFoundError):
        for action in table.actions(0):
            if "metaData" in action:
                return str(action["metaData"]["id"])
    if table.exists():  # the log's start has expired: ask the checkpoint
        return str(table.delta().metadata().id)
    raise _stopped(table, "holds no table id")


def _recorded(actions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the stream wrote beside a commit, empty for other writers."""
    for action in actions:
        text = action.get("commitInfo", {}).get("userMetadata")
        if text:
            try:
                recorded = json.loads(text)
            except ValueError:
                return {}
            return recorded if isinstance(recorded, dict) and recorded.get("tieout") == 1 else {}
    return {}


def _offsets(recorded: dict[str, Any], key: str) -> dict[int, int]:
    return {int(partition): int(offset) for partition, offset in recorded.get(key, {}).items()}


def _added(action: dict[str, Any]) -> AddedFile:
    add = action["add"]
    stats = json.loads(add["stats"]) if add.get("stats") else {}
    return AddedFile(unquote(add["path"]), stats.get("numRecords"))


def _is_retention(table: LakeTable, recorded: dict[str, Any]) -> bool:
    """Say whether a commit took old days of dead letters, as it says itself; no row of bronze ever expires."""
    dead_letters = (load_entity(name).dead_letters for name in entity_names())
    return bool(recorded.get("expired_before")) and table.name in dead_letters


def read_commit(table: LakeTable, version: int, expected_id: str) -> Commit:
    """Read one commit.

    Raises:
        TieoutError: the commit is no append, was not made by the stream, or starts another table.
    """
    actions = table.actions(version)
    recorded = _recorded(actions)
    for action in actions:
        if action.get("remove", {}).get("dataChange", False) and not _is_retention(table, recorded):
            raise _stopped(table, f"removes data in version {version}, and the lake is only ever appended to")
        if action.get("metaData", {}).get("id", expected_id) != expected_id:
            raise _stopped(table, f"becomes another table in version {version}")
    changing = [action for action in actions if "add" in action and action["add"].get("dataChange", True)]
    if any(action["add"].get("deletionVector") for action in changing):
        raise _stopped(table, f"uses a deletion vector in version {version}")
    if changing and not recorded.get("end"):
        raise _stopped(table, f"has data in version {version} that does not come from the stream (no recorded offsets)")
    accepted = recorded.get("accepted")
    return Commit(
        version=version,
        files=tuple(_added(action) for action in changing),
        topic_id=recorded.get("topic_id"),
        start=_offsets(recorded, "start"),
        end=_offsets(recorded, "end"),
        rows=int(recorded.get("rows", 0)),
        lost=tuple(
            Lost(int(lost["partition"]), int(lost["from"]), int(lost["to"]), str(lost["reason"]))
            for lost in recorded.get("lost", [])
        ),
        gaps=_offsets(recorded, "gaps"),
        gone=Gone(str(accepted["instead_of"]), str(accepted["reason"])) if accepted else None,
    )


def commits_after(table: LakeTable, version: int, expected_id: str) -> Iterator[Commit]:
    """Yield the commits behind a version, in order, without a gap.

    Args:
        table: of the lake.
        version: the last version that was read; -1 for none.
        expected_id: the table's id.

    Raises:
        TieoutError: a version is missing, the log ends before the given version, or a commit is not an append.
    """
    versions = table.versions(version)
    if version >= 0 and not versions:
        newest = table.newest_version()
        if newest is None or newest < version:
            ends = "none" if newest is None else newest
            raise _stopped(table, f"ends at version {ends}, before version {version}, which is loaded already")
    for expected, found in enumerate(versions, start=version + 1):
        if found != expected:
            raise _stopped(table, f"lacks version {expected}; the next one there is {found}")
        yield read_commit(table, found, expected_id)


def newest_record(table: LakeTable, upto: int | None = None) -> tuple[str | None, dict[int, int]]:
    """Return the topic's id and the recorded ends of the newest commit that has them; (None, {}) where none has.

    Args:
        table: of the lake.
        upto: the newest version that counts; without it the newest there is.
    """
    for version in table.versions_backwards():
        if upto is not None and version > upto:
            continue
        recorded = _recorded(table.actions(version))
        if recorded.get("end"):
            return recorded.get("topic_id"), _offsets(recorded, "end")
    return None, {}


def newest_within(table: LakeTable, topic_id: str | None, ends: dict[int, int]) -> int | None:
    """Return the newest version whose commit of the stream's ends nowhere behind some ends; None where there is none.

    Args:
        table: of the lake.
        topic_id: the topic that the ends are of.
        ends: offset behind the last one, by partition.
    """
    for version in table.versions_backwards():
        recorded = _recorded(table.actions(version))
        found = _offsets(recorded, "end")
        if found and recorded.get("topic_id") == topic_id and all(end <= ends.get(p, 0) for p, end in found.items()):
            return version
    return None


def recorded_ends(table: LakeTable) -> dict[int, int]:
    """Return the offsets behind the last ones that a table of the lake accounts for, by partition.

    Empty when there is no table or nothing was committed yet.
    """
    return newest_record(table)[1]


def committed_at(table: LakeTable, version: int) -> datetime:
    """Return when a commit was made."""
    stamps = [action["commitInfo"]["timestamp"] for action in table.actions(version) if "commitInfo" in action]
    return datetime.fromtimestamp(int(max(stamps, default=0)) / 1000, UTC)
