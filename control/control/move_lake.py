"""A copy of the lake at another place, proven equal.

What makes a log a table comes last: its checkpoints, then its first commit. So a kill leaves no table, or a whole one.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from control.catching_up import writer_is_at_work
from control.env import change_env, lake_of, settings
from control.lake_contents import LOG, PIECE, contents_of, digest
from control.progress import say
from control.supervision import stream_is_supervised
from core import failpoints
from core.errors import OptionError, TieoutError
from core.files import give_to_owner
from core.lake import Lake, LakeTable
from core.layout import Layout

LINE_EVERY_SECONDS = 10.0
KEPT = "the lake is where it was, and whole; what was copied so far is no lake yet."


@dataclass(frozen=True)
class _Copy:
    """A table that is copied.

    Attributes:
        files: bytes of each of its files, in the order of copying.
        version: the newest one, when the work began.
    """

    here: LakeTable
    there: LakeTable
    files: dict[str, int]
    version: int | None

    @classmethod
    def plan(cls, here: LakeTable, there: LakeTable) -> "_Copy":
        version = here.newest_version()
        return cls(here, there, _files(here), version)

    @property
    def size(self) -> dict[str, Any]:
        return {"table": self.here.name, "files": len(self.files), "bytes": sum(self.files.values())}

    def planned(self) -> dict[str, Any]:
        return {**self.size, "words": f"{self.words} would be copied"}

    @property
    def words(self) -> str:
        return f"{len(self.files):,} files, {sum(self.files.values()):,} bytes"


def move_lake(layout: Layout, to: str, *, switch: bool = False, dry_run: bool = False) -> dict[str, Any]:
    """Copy every table with its log, prove the copy, and say how to use it.

    Args:
        to: address of the form of LAKE_URL.
        switch: write LAKE_URL into `.env` at the end.
        dry_run: nothing is written.

    Returns:
        what `tieout lake move --json` prints.

    Raises:
        OptionError: the address is none, or is where the lake is.
        TieoutError: a writer runs or has written meanwhile, something else is at the address, the copy differs, or a
            store is not as it should be.
    """
    from spark_streaming import lock

    values = settings(layout)
    source, target = lake_of(layout, values), _target(layout, values, to)
    if target == source:
        raise OptionError(f"the lake is at {source.url} already.", "nothing was copied.", "--to another address")
    _refuse_writer(layout)
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(lock.take(layout.writer_lock, patience=0))
            for file in (layout.writer_lock, lock.holder_file(layout.writer_lock)):
                give_to_owner(file, layout.data)  # root may be the first to make them
        tables = [_Copy.plan(here, target.table(here.name)) for here in source.tables if here.exists()]
        if not tables:
            raise TieoutError(f"there is no lake at {source.url}.", "nothing was copied.", "./scripts/tieout status")
        for table in tables:
            _refuse_another_lake(table)
        if dry_run:
            return _told(source, target, [table.planned() for table in tables], "the same without --dry-run")
        for table in tables:
            _copy(table)
        failpoints.reach("lake-move.before-proof")
        proven = [_prove(layout, values, table) for table in tables]
        for table in tables:
            _refuse_changed(table)
        if switch:
            change_env(layout, {"LAKE_URL": to})
    restart = "./scripts/stop.sh and ./scripts/start.sh"
    following = restart if switch else f"set LAKE_URL={to} in {layout.env_file}, then {restart}"
    return _told(source, target, proven, following)


def _told(source: Lake, target: Lake, tables: list[dict[str, Any]], following: str) -> dict[str, Any]:
    return {"from": source.url, "to": target.url, "tables": tables, "next": following}


def _target(layout: Layout, values: dict[str, str], to: str) -> Lake:
    try:
        return lake_of(layout, {**values, "LAKE_URL": to})
    except TieoutError as error:
        if not error.what.startswith("LAKE_URL"):
            raise
        what, following = error.what.replace("LAKE_URL", "--to"), "./scripts/tieout lake move --to s3://bucket/prefix"
        raise OptionError(what, "nothing was copied.", following) from None


def _refuse_writer(layout: Layout) -> None:
    if stream_is_supervised(layout) or writer_is_at_work(layout):
        raise TieoutError(
            "a stream writes the lake.",
            "nothing was copied.",
            "./scripts/stop.sh, or the end of that `tieout stream`; then the same command again",
        )


def _files(table: LakeTable) -> dict[str, int]:
    """Return the table's files in the order of copying: data, commits, checkpoints, the first commit, the hint."""

    def turn(name: str) -> tuple[int, str]:
        if not name.startswith(LOG):
            return 0, name
        if name == f"{LOG}{first:020}.json":
            return 3, name
        return (4 if name.endswith("_last_checkpoint") else 2 if ".checkpoint." in name else 1), name

    first = table.versions()[0]
    sizes = table.sizes()
    # Hidden files and those of writes that were cut short are no part of a table.
    names = (n for n in sizes if not n.rpartition("/")[2].startswith(".") and not n.endswith((".tmp", ".partial")))
    return {name: sizes[name] for name in sorted(names, key=turn)}


def _refuse_another_lake(table: _Copy) -> None:
    """Go on only where what is there is a part of this copy: no other file, and no other commit."""
    here, there, files = table.here, table.there, table.files
    found = there.sizes()
    foreign = next((name for name in sorted(found) if name not in files), None)
    commits = (name for name in found if name in files and name.startswith(LOG) and name.endswith(".json"))
    foreign = foreign or next((name for name in commits if _bytes(there, name) != _bytes(here, name)), None)
    if foreign is not None:
        raise TieoutError(
            f"{there} holds something else than a part of this copy: {foreign}.",
            "nothing was copied, and nothing there was changed.",
            "name another address in --to, or remove what is there",
        )


def _bytes(table: LakeTable, name: str) -> bytes:
    return table.place.read(f"{table.name}/{name}")


def _copy(table: _Copy) -> None:
    """Copy what is not there yet. A file of another size was cut short."""
    here, there, files = table.here, table.there, table.files
    found, said = there.sizes(), time.monotonic()
    for number, (name, size) in enumerate(files.items()):
        path = f"{there.name}/{name}"
        changes = name.endswith("_last_checkpoint")
        if name.startswith(LOG) and found.get(name) is None:
            failpoints.reach("lake-move.before-log")
        if found.get(name) == size and not changes:
            continue
        if name in found:
            there.place.remove(path)
        if name.startswith(LOG):
            there.place.create(path, _bytes(here, name))
        else:
            with here.place.open_input(f"{here.name}/{name}") as source, there.place.open_output(path) as file:
                while piece := source.read(PIECE):
                    file.write(piece)
        if time.monotonic() - said > LINE_EVERY_SECONDS:
            say(f"  {here.name}: {number + 1:,} of {len(files):,} files")
            said = time.monotonic()


def _refuse_changed(table: _Copy) -> None:
    if table.here.newest_version() != table.version:
        raise TieoutError(f"somebody has written to {table.here} while it was copied.", KEPT, "the same command again")


def _prove(layout: Layout, values: dict[str, str], table: _Copy) -> dict[str, Any]:
    """Compare every byte, and what Delta and DuckDB make of them."""
    wrong = _first_difference(table)
    here, there = (_contents(layout, values, side) for side in (table.here, table.there))
    wrong = wrong or next((name for name in here if here[name] != there[name]), None)
    if wrong is not None:
        _refuse_changed(table)
        raise TieoutError(
            f"the copy at {table.there} is not equal: {wrong}.",
            "the lake is where it was, and whole.",
            f"remove what is at {table.there}, then the same command again",
        )
    return {**table.size, **there, "words": f"{table.words}, {there['rows']:,} rows: equal"}


def _first_difference(table: _Copy) -> str | None:
    here, there, files = table.here, table.there, table.files
    missing = sorted(set(files) ^ set(there.sizes()))
    if missing:
        return f"{missing[0]} is on one side only"
    return next((f"the bytes of {name}" for name in files if _digest(here, name) != _digest(there, name)), None)


def _digest(table: LakeTable, name: str) -> str:
    return digest(table.place, f"{table.name}/{name}")


def _contents(layout: Layout, values: dict[str, str], table: LakeTable) -> dict[str, Any]:
    version = table.newest_version() or 0
    memory = values.get("LOADER_MEMORY") or "1GB"
    return {"version": version, **contents_of(table, version, layout.state / "load", memory)}
