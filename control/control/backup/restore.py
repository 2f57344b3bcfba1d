"""`tieout restore`: a backup on an empty home, proven, going on with the topic that this home has."""

import json
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from contracts.entities import load_entities
from contracts.model import PAYMENTS
from control import registry, supervision
from control.accounts import hand_over, ids
from control.backup import lake as lake_part
from control.backup import warehouse
from control.backup.make import memory_of, place_of, summary
from control.backup.manifest import NOTHING_WRITTEN, Manifest, read_manifest, require_whole
from control.backup.unfinished import HALF, is_cut_short, marker
from control.bring_up import bring_up_base, prepare, provision_services
from control.catching_up import writer_is_at_work
from control.env import NAMES, change_env, lake_of, settings
from control.java import require_java
from control.lake_contents import contents_of
from control.offsets import topic_state
from control.processes import Platform
from control.progress import say, step
from control.service import Group
from core import failpoints
from core.errors import TieoutError
from core.files import give_to_owner, write_file
from core.lake import Lake
from core.layout import Layout
from core.locks import exclusive
from core.settings import parse_settings


def restore_backup(layout: Layout, source: str, backup_id: str | None = None) -> dict[str, Any]:
    """Bring a backup to this home, which holds no payment yet; broker and database are started where they are not.

    Args:
        layout: of the home.
        source: the address that the backup was made to.
        backup_id: which one; the newest without it.

    Returns:
        what `tieout restore --json` prints.

    Raises:
        OptionError: the address is none.
        TieoutError: the backup is damaged, this home is not empty or too old for it, or what came back is not equal.
    """
    values = settings(layout)
    place = place_of(layout, values, source, "--from")
    manifest = read_manifest(place, backup_id)
    _refuse_later_contract(manifest)
    with exclusive(layout.state / "start.lock", partial(say, "waiting for a start or stop that is under way")):
        _refuse_running(layout)
        if not is_cut_short(layout):
            _refuse_lake(lake_of(layout, values))
        with step("every file of the backup read and found whole"):
            require_whole(place, manifest)
        require_java()
        platform = bring_up_base(prepare(layout))
        if not is_cut_short(layout) and not warehouse.is_empty(platform.settings):
            raise _not_empty("the warehouse has loads")
        write_file(marker(layout), json.dumps({"from": source, "backup_id": manifest.backup_id}), sync=True)
        platform = _bring_back(platform, manifest, place)
        accepted = _accept_topics(platform, f"restored from {source}")
        failpoints.reach("restore.before-proof")
        proof = _prove(platform)
        marker(layout).unlink()
    return {
        "from": place.url,
        **summary(manifest),
        "topic_id": accepted[PAYMENTS],
        "topics": accepted,
        "proof": proof,
        "next": "./scripts/start.sh --no-demo, then ./scripts/tieout run",
    }


def _bring_back(platform: Platform, manifest: Manifest, place: Any) -> Platform:
    from spark_streaming import lock

    layout, values = platform.layout, platform.settings
    lake = lake_of(layout, values)
    os.umask(0o077)
    with lock.take(layout.writer_lock, patience=0):
        for table in lake.tables:
            table.remove()  # what a restore that was cut short has left
        with step("warehouse restored"):
            warehouse.restore(values, place, manifest.dump)
        failpoints.reach("restore.after-warehouse")
        _require_equal(values, manifest)
        provision_services(platform, Group.BASE)
        for name, copy in manifest.lake.items():
            with step(f"{name} restored, up to version {copy.version}"):
                lake_part.restore_table(lake.table(name), copy, place)
                _require_equal_table(platform, lake, name, manifest)
    change_env(layout, {name: value for name, value in manifest.settings.items() if name in NAMES})
    return Platform(layout, platform.accounts, settings(layout))


def _require_equal(values: Mapping[str, str], manifest: Manifest) -> None:
    with warehouse.snapshot(values) as (connection, _):
        found = warehouse.describe(connection)
    for what in ("read", "rows", "amounts"):
        for name, there in manifest.warehouse[what].items():
            if found[what].get(name) != there:
                raise _differs(f"{name} of the warehouse: {found[what].get(name)} instead of {there}")


def _require_equal_table(platform: Platform, lake: Lake, name: str, manifest: Manifest) -> None:
    copy, layout = manifest.lake[name], platform.layout
    here = contents_of(lake.table(name), copy.version, layout.state / "load", memory_of(platform.settings))
    wrong = next((what for what, there in copy.contents.items() if here[what] != there), None)
    if wrong is not None:
        raise _differs(f"{wrong} of {name}: {here[wrong]} instead of {copy.contents[wrong]}")


def _differs(what: str) -> TieoutError:
    return TieoutError(f"what was restored is not equal: {what}.", HALF, "the same command again, or with --backup")


def _accept_topics(platform: Platform, reason: str) -> dict[str, str]:
    """Let the lake go on with the topics that this home has, as `tieout stream --accept-topic` does.

    Returns:
        the topic's id by entity.
    """
    from spark_streaming import lock
    from spark_streaming.broker import TopicState
    from spark_streaming.start import Acceptance, open_lake
    from spark_streaming.tables import stream_tables

    layout, accepted = platform.layout, dict[str, str]()
    lake = lake_of(layout, platform.settings)
    for entity in load_entities():
        topic = TopicState(*topic_state(platform.settings, entity.topic.name))
        accepted[entity.name] = topic.topic_id
        if lake.table(entity.bronze).exists():
            with step(f"new topic {topic.name} accepted"), lock.take(layout.writer_lock, patience=0):
                open_lake(topic, stream_tables(lake, entity), Acceptance(reason, topic_id=topic.topic_id))
    _give_to_services(platform, lake)
    return accepted


def _give_to_services(platform: Platform, lake: Lake) -> None:
    """Give the lake to the account that goes on writing it, where root restored it."""
    from spark_streaming import lock

    layout = platform.layout
    for table in lake.tables:
        if table.folder is not None:
            hand_over(table.folder, *ids(platform.accounts.services))
    for file in (layout.writer_lock, lock.holder_file(layout.writer_lock)):
        give_to_owner(file, layout.data)


def _prove(platform: Platform) -> dict[str, Any]:
    from warehouse.proof import run_proof

    with step("proof"):
        proof = run_proof(True, settings=parse_settings(platform.settings, platform.layout), layout=platform.layout)
    verdicts: dict[str, dict[str, int]] = {}
    for line in proof["equations"]:
        by_verdict = verdicts.setdefault(line["name"], {})
        by_verdict[line["verdict"]] = by_verdict.get(line["verdict"], 0) + 1
    return {"ok": proof["ok"], "verdicts": verdicts}


def _refuse_later_contract(manifest: Manifest) -> None:
    known = {entity.name: entity.version for entity in load_entities()}
    for name, version in {PAYMENTS: manifest.contract, **manifest.contracts}.items():
        ours = known.get(name, "0")
        if _parts(version) > _parts(ours) or _parts(version)[0] != _parts(ours)[0]:
            of = "" if name == PAYMENTS else f" of {name}"
            raise TieoutError(
                f"backup {manifest.backup_id} is of contract {version}{of}, and this checkout has {known.get(name)}.",
                NOTHING_WRITTEN,
                "restore it with the version of Tieout that made it",
            )


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _refuse_running(layout: Layout) -> None:
    base = {name for name, service in registry.services_of(layout).items() if service.group == Group.BASE}
    running = [
        name
        for name, info in supervision.process_states(layout).items()
        if name not in base and info["statename"] in {"RUNNING", "STARTING", "BACKOFF"}
    ]
    if running or writer_is_at_work(layout):
        raise TieoutError(
            f"{', '.join(running) or 'a stream'} of this home runs.",
            NOTHING_WRITTEN,
            "./scripts/stop.sh, then the same command again",
        )


def _refuse_lake(lake: Lake) -> None:
    for table in lake.tables:
        if table.exists():
            raise _not_empty(f"there is a table at {table}")


def _not_empty(what: str) -> TieoutError:
    return TieoutError(
        f"this home is not empty: {what}.",
        NOTHING_WRITTEN,
        "restore into another home (TIEOUT_HOME), or ./scripts/tieout reset, which deletes what is here",
    )
