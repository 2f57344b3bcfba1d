"""`tieout backup`: a copy of warehouse, lake and settings, taken while everything runs."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS
from control.backup import lake as lake_part
from control.backup import warehouse
from control.backup.manifest import (
    DUMPS,
    NOTHING_WRITTEN,
    Manifest,
    StoredFile,
    backup_ids,
    new_id,
    read_manifest,
    write_manifest,
)
from control.env import lake_of, read_env, settings
from control.lake_contents import contents_of
from control.progress import say, step
from control.service import BROKER, WAREHOUSE
from core import failpoints
from core.errors import OptionError, TieoutError
from core.layout import Layout
from core.locks import exclusive
from core.places import LocalPlace, Place
from core.setting_kinds import EMPTY, WRITTEN
from core.settings import names

# What says where something is, or may hold a password: each home has its own.
OWN = (
    *BROKER,
    *WAREHOUSE,
    *("INCIDENT_WEBHOOK_URL", "SPARK_JAVA_OPTIONS", "SPARK_MASTER"),
    *("SPARK_DRIVER_HOST", "SPARK_DRIVER_BIND", "SPARK_PYTHON_ARCHIVE"),
)


def make_backup(layout: Layout, to: str) -> dict[str, Any]:
    """Copy warehouse, then lake, then settings; the manifest comes last and makes it a backup.

    Args:
        layout: of the home.
        to: address of the form of LAKE_URL.

    Returns:
        what `tieout backup --json` prints.

    Raises:
        OptionError: the address is none, or lies where the platform keeps its own.
        TieoutError: database, lake or store are not as they should be.
    """
    values = settings(layout)
    place = place_of(layout, values, to, "--to")
    _refuse_own_place(layout, values, place)
    with exclusive(layout.state / "backup.lock", partial(say, "waiting for another backup")):
        earlier = _earlier(place)
        _remove_leftovers(place)
        begun = datetime.now(UTC)
        backup_id = new_id(begun)
        with step("warehouse dumped"):
            dump, found = warehouse.dump(values, place, f"{DUMPS}/{backup_id}.dump")
        failpoints.reach("backup.after-dump")
        lake = lake_of(layout, values)
        read = {name: each["version"] for name, each in found["read"].items()}
        copies = {}
        for name, version in lake_part.versions_to_copy(lake, read).items():
            table = lake.table(name)
            with step(f"{name} copied, up to version {version}"):
                contents = contents_of(table, version, layout.state / "load", memory_of(values))
                known = _known(earlier, name, contents["table_id"])
                copies[name] = lake_part.copy_table(
                    table, version, place, read=read.get(name, -1), known=known, contents=contents
                )
        lake_part.require_nothing_lacking(found["read"], copies)
        failpoints.reach("backup.before-manifest")
        manifest = Manifest(
            backup_id=backup_id,
            begun_at=begun.isoformat(),
            contract=load_entity(PAYMENTS).version,
            contracts={entity.name: entity.version for entity in load_entities()},
            settings=_kept_settings(layout),
            dump=dump,
            warehouse=found,
            lake=copies,
        )
        write_manifest(place, manifest)
    return {"to": place.url, **summary(manifest), "next": f"./scripts/tieout restore --from {to}, on an empty home"}


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return what people and machines are told of a backup."""
    return {
        "backup_id": manifest.backup_id,
        "begun_at": manifest.begun_at,
        "contract": manifest.contract,
        "bytes": sum(file.size for file in manifest.stored()),
        "warehouse": manifest.warehouse,
        "lake": {
            name: {"version": copy.version, "files": len(copy.files), **copy.contents}
            for name, copy in manifest.lake.items()
        },
    }


def place_of(layout: Layout, values: Mapping[str, str], url: str, option: str) -> Place:
    """Return the place at an address, with the endpoint and keys of the settings.

    Raises:
        OptionError: it is no address of the form of LAKE_URL.
    """
    try:
        return lake_of(layout, {**values, "LAKE_URL": url}).place
    except TieoutError as error:
        raise OptionError(error.what.replace("LAKE_URL", option), NOTHING_WRITTEN, error.next) from None


def memory_of(values: Mapping[str, str]) -> str:
    """Return how much memory DuckDB may take."""
    return values.get("LOADER_MEMORY") or "1GB"


def _refuse_own_place(layout: Layout, values: Mapping[str, str], place: Place) -> None:
    lake = lake_of(layout, values)
    inside = False
    if isinstance(place, LocalPlace):
        own = [layout.state, *(table.folder for table in lake.tables if table.folder)]
        inside = any(place.root.resolve().is_relative_to(folder.resolve()) for folder in own)
    if inside or place == lake.place:
        raise OptionError(
            f"{place.url} is where the platform keeps its own.",
            NOTHING_WRITTEN,
            "--to another address, best of another disk or store",
        )


def _earlier(place: Place) -> list[Manifest]:
    """Return the backups that are there and can be read, newest first."""
    found = []
    for backup_id in reversed(backup_ids(place)):
        with suppress(TieoutError):  # it stays what it is, and is no help
            found.append(read_manifest(place, backup_id))
    return found


def _known(earlier: list[Manifest], name: str, table_id: str) -> dict[str, StoredFile]:
    """Return the files of the newest earlier backup of the same table."""
    copies = (manifest.lake[name] for manifest in earlier if name in manifest.lake)
    return next((dict(copy.files) for copy in copies if copy.contents["table_id"] == table_id), {})


def _remove_leftovers(place: Place) -> None:
    """Remove the dumps of backups that were cut short: no manifest names them."""
    whole = set(backup_ids(place))
    for name in place.names(DUMPS):
        if name.partition(".")[0] not in whole:
            place.remove(f"{DUMPS}/{name}")


def _kept_settings(layout: Layout) -> dict[str, str]:
    kept = (n for n in names(WRITTEN, EMPTY) if n not in OWN and not n.endswith("_PORT") and not n.startswith("LAKE_"))
    found = read_env(layout.env_file)
    return {name: found[name] for name in kept if name in found}
