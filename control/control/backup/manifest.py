"""What a backup is: its manifest, which is written last, and the files that the manifest names.

backups/ID.json     the manifest; without it there is no backup
warehouse/ID.dump   what pg_dump wrote
files/AB/ABCD...    a file of the lake, named by the SHA-256 of its content; many backups may name the same one
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from control.lake_contents import digest
from core.errors import TieoutError
from core.places import Place

# What is written is of the last one. 1 has no contracts beside that of the payments.
FORMATS = (1, 2)
MANIFESTS, DUMPS = "backups", "warehouse"
NOTHING_WRITTEN = "nothing was written."


@dataclass(frozen=True)
class StoredFile:
    """A file of a backup.

    Attributes:
        name: below the backup's address.
        size: bytes.
        sha256: of its content, in hexadecimal digits.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class TableCopy:
    """A table of the lake as a backup has it.

    Attributes:
        version: the newest version that was copied.
        contents: table and topic id, recorded ends, rows, and count and amount by currency.
        files: what the table's folder holds, by name in it.
        last_checkpoint: what the log's hint says; None where there is none for these versions.
    """

    version: int
    contents: Mapping[str, Any]
    files: Mapping[str, StoredFile]
    last_checkpoint: str | None


@dataclass(frozen=True)
class Manifest:
    """A whole backup.

    Attributes:
        contract: the version of the payments' contract.
        contracts: of each entity's; empty in a backup of before there was more than one.
        settings: those of `.env` that are neither secret nor about a place.
        dump: the warehouse.
        warehouse: migration, how far loads had read the lake, rows by table, and amounts by table and currency.
        lake: by name of the table.
    """

    backup_id: str
    begun_at: str
    contract: str
    contracts: Mapping[str, str]
    settings: Mapping[str, str]
    dump: StoredFile
    warehouse: Mapping[str, Any]
    lake: Mapping[str, TableCopy]

    def stored(self) -> Iterator[StoredFile]:
        """Yield each of the files once."""
        yield self.dump
        yield from {file.name: file for table in self.lake.values() for file in table.files.values()}.values()


def new_id(now: datetime) -> str:
    """Return the id of a backup; ids sort by time."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def stored_name(sha256: str) -> str:
    """Return the name of a file of the lake."""
    return f"files/{sha256[:2]}/{sha256}"


def write_manifest(place: Place, manifest: Manifest) -> None:
    """Make the backup one: its manifest appears whole, or not at all."""
    body = json.dumps({"format": FORMATS[-1], **asdict(manifest)}, sort_keys=True)
    text = json.dumps({"sha256": _digest_of(body), "manifest": body})
    place.create(f"{MANIFESTS}/{manifest.backup_id}.json", text.encode())


def backup_ids(place: Place) -> list[str]:
    """Return the backups at an address, oldest first."""
    return [name.removesuffix(".json") for name in place.names(MANIFESTS) if name.endswith(".json")]


def read_manifest(place: Place, backup_id: str | None = None) -> Manifest:
    """Return a backup's manifest, the newest without an id.

    Raises:
        TieoutError: there is none, or it is damaged, or a later version of this platform wrote it.
    """
    known = backup_ids(place)
    if not known or backup_id not in (None, *known):
        wanted = f"backup {backup_id}" if backup_id and known else "backup"
        raise TieoutError(
            f"there is no {wanted} at {place.url}: a backup has its manifest in {MANIFESTS}/.",
            NOTHING_WRITTEN,
            f"--backup with one of {', '.join(known[-5:])}" if known else "./scripts/tieout backup --to that address",
        )
    name = backup_id or known[-1]
    try:
        whole = json.loads(place.read(f"{MANIFESTS}/{name}.json"))
        found = json.loads(whole["manifest"])
        if whole["sha256"] != _digest_of(whole["manifest"]):
            raise ValueError("its hash is another")
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(place, name, f"its manifest cannot be read ({error})", known) from None
    if found.pop("format") not in FORMATS:
        raise TieoutError(
            f"backup {name} at {place.url} has a form that this version does not know.",
            NOTHING_WRITTEN,
            "restore it with the version of Tieout that made it",
        )
    lake = {
        table: TableCopy(**{**copy, "files": {path: StoredFile(**file) for path, file in copy["files"].items()}})
        for table, copy in found["lake"].items()
    }
    return Manifest(**{"contracts": {}, **found, "dump": StoredFile(**found["dump"]), "lake": lake})


def require_whole(place: Place, manifest: Manifest) -> None:
    """Read every file of a backup and hold it against the manifest.

    Raises:
        TieoutError: a file is missing or is not what it was.
    """
    for file in manifest.stored():
        try:
            is_whole = place.size(file.name) == file.size and digest(place, file.name) == file.sha256
        except FileNotFoundError:
            is_whole = False
        if not is_whole:
            what = "is missing" if place.size(file.name) is None else "is not what it was"
            raise damaged(place, manifest.backup_id, f"{file.name} {what}", backup_ids(place))


def damaged(place: Place, backup_id: str, what: str, known: list[str]) -> TieoutError:
    """Return the error of a backup that cannot be used."""
    others = [each for each in known if each != backup_id]
    return TieoutError(
        f"backup {backup_id} at {place.url} is damaged: {what}.",
        NOTHING_WRITTEN,
        f"--backup {others[-1]}, an earlier one" if others else "--from another address; this one has no other backup",
    )


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
