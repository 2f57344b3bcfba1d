"""A backup is its manifest; which files of the lake belong to it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lake_writer import LakeWriter, dead_letter, payment

from contracts.entities import load_entity
from control.backup.lake import files_of, versions_to_copy
from control.backup.make import make_backup
from control.backup.manifest import (
    Manifest,
    StoredFile,
    TableCopy,
    backup_ids,
    new_id,
    read_manifest,
    require_whole,
    write_manifest,
)
from control.backup.unfinished import marker, refuse_half_restored
from control.env import ensure_env, lake_of
from control.lake_contents import digest
from core.errors import OptionError, RefusalError, TieoutError
from core.layout import CHECKOUT, Layout
from core.places import LocalPlace


@pytest.fixture
def place(tmp_path: Path) -> LocalPlace:
    return LocalPlace(tmp_path / "copies")


def stored(place: LocalPlace, name: str, content: bytes) -> StoredFile:
    place.create(name, content)
    return StoredFile(name, len(content), digest(place, name))


def a_backup(place: LocalPlace, second: int = 0) -> Manifest:
    backup_id = new_id(datetime(2026, 11, 30, 12, 0, second, tzinfo=UTC))
    data = stored(place, f"files/ab/{second}", b"rows")
    manifest = Manifest(
        backup_id=backup_id,
        begun_at="2026-11-30T12:00:00+00:00",
        contract="1.0.0",
        contracts={"transactions": "1.0.0", "refunds": "1.0.0"},
        settings={"RUN_EVERY_SECONDS": "20"},
        dump=stored(place, f"warehouse/{backup_id}.dump", b"silver"),
        warehouse={"migration": "0013", "read": {}, "rows": {"raw.transactions": 2}, "amounts": {}},
        lake={"raw_transactions": TableCopy(3, {"rows": 2}, {"part-0.parquet": data, "copy.parquet": data}, None)},
    )
    write_manifest(place, manifest)
    return manifest


def test_a_manifest_comes_back_as_it_was_and_the_newest_is_taken(place: LocalPlace) -> None:
    first, second = a_backup(place), a_backup(place, 1)
    assert backup_ids(place) == [first.backup_id, second.backup_id]
    assert read_manifest(place) == second
    assert read_manifest(place, first.backup_id) == first
    assert len(list(first.stored())) == 2, "a file that two names have is one"
    require_whole(place, first)


@pytest.mark.parametrize("what", ["a byte", "cut short", "a file", "another form", "no json"])
def test_a_damaged_manifest_or_file_is_refused_and_an_earlier_backup_is_named(place: LocalPlace, what: str) -> None:
    earlier, ill = a_backup(place), a_backup(place, 1)
    path = place.root / "backups" / f"{ill.backup_id}.json"
    text = path.read_text()
    match what:
        case "a byte":
            path.write_text(text.replace('raw.transactions\\": 2', 'raw.transactions\\": 3'))
        case "cut short":
            path.write_text(text[:-9])
        case "a file":
            (place.root / "files/ab/1").write_bytes(b"r0ws")
        case "another form":
            path.write_text(json.dumps({"sha256": "", "manifest": 7}))
        case "no json":
            path.write_bytes(b"\xff\x00")
    assert text != path.read_bytes().decode("utf-8", "replace") or what == "a file"
    with pytest.raises(TieoutError, match=f"backup {ill.backup_id} at .* is damaged") as refusal:
        require_whole(place, read_manifest(place))
    assert refusal.value.next == f"--backup {earlier.backup_id}, an earlier one"
    require_whole(place, read_manifest(place, earlier.backup_id))


def test_an_address_without_a_backup_and_an_unknown_backup_are_refused(place: LocalPlace) -> None:
    with pytest.raises(TieoutError, match="there is no backup at"):
        read_manifest(place)
    known = a_backup(place)
    with pytest.raises(TieoutError, match="there is no backup 7 at") as refusal:
        read_manifest(place, "7")
    assert known.backup_id in refusal.value.next


@pytest.mark.parametrize("url", ["file:data", "file:.tieout/copies", "file:data/raw_transactions/x", "ftp://x", ""])
def test_an_address_that_is_none_or_the_platforms_own_is_refused(tmp_path: Path, url: str) -> None:
    layout = Layout(CHECKOUT, tmp_path)
    ensure_env(layout)
    with pytest.raises(OptionError):
        make_backup(layout, url)


def test_a_copy_has_the_version_and_what_no_load_has_read_yet(tmp_path: Path) -> None:
    writer = LakeWriter(Layout(CHECKOUT, tmp_path))
    for number in range(4):
        writer.commit([payment(f"t{number}"), dead_letter()])
    bronze = writer.lake.bronze
    parts = [file.path for file in bronze.files()]
    bronze.delta().optimize.compact()
    merged = [file.path for file in bronze.files()]
    assert len(parts) == 4
    assert len(merged) == 1
    data = [name for name in files_of(bronze, 4, read=4) if not name.startswith("_delta_log/")]
    assert data == merged
    unread = [name for name in files_of(bronze, 4, read=1) if not name.startswith("_delta_log/")]
    added = [a["add"]["path"] for v in (2, 3) for a in bronze.actions(v) if "add" in a]
    assert set(unread) == {*merged, *added}
    earlier = files_of(bronze, 2, read=2)
    assert [name for name in earlier if name.startswith("_delta_log/")] == [
        f"_delta_log/{version:020}.json" for version in range(3)
    ]
    assert len(earlier) == 6


def test_dead_letters_that_have_got_further_are_copied_up_to_bronze(tmp_path: Path) -> None:
    writer = LakeWriter(Layout(CHECKOUT, tmp_path))
    writer.commit([payment("a"), dead_letter()])
    assert versions_to_copy(writer.lake, {}) == {"raw_transactions": 0, "dead_letter_queue": 0}
    ahead: list[dict[str, Any]] = writer.deliver([payment("b"), dead_letter()])
    writer.write(writer.lake.dead_letters, ahead, {0: 2}, {0: 4})
    assert versions_to_copy(writer.lake, {}) == {"raw_transactions": 0, "dead_letter_queue": 0}
    writer.write(writer.lake.bronze, ahead, {0: 2}, {0: 4})
    assert versions_to_copy(writer.lake, {}) == {"raw_transactions": 1, "dead_letter_queue": 1}


def test_each_entity_has_its_own_pair_of_tables_in_a_copy(tmp_path: Path) -> None:
    lake = lake_of(Layout(CHECKOUT, tmp_path), {})
    refunds = load_entity("refunds")
    one_refund, two_refunds, payments = ({"tieout": 1, "topic_id": "T", "end": {"0": end}} for end in (1, 2, 9))
    for name, commits in (
        (refunds.dead_letters, [one_refund, two_refunds]),
        (refunds.bronze, [one_refund]),
        ("dead_letter_queue", [payments]),
        ("raw_transactions", [payments]),
    ):
        for version, record in enumerate(commits):
            commit = json.dumps({"commitInfo": {"userMetadata": json.dumps(record)}})
            lake.place.create(f"{name}/_delta_log/{version:020}.json", commit.encode())
    assert versions_to_copy(lake, {}) == {
        "raw_transactions": 0,
        "dead_letter_queue": 0,
        refunds.bronze: 0,
        refunds.dead_letters: 0,
    }
    assert versions_to_copy(lake, {refunds.dead_letters: 1})[refunds.dead_letters] == 1


def test_a_home_whose_restore_was_cut_short_does_not_start(tmp_path: Path) -> None:
    layout = Layout(CHECKOUT, tmp_path)
    layout.state.mkdir()
    refuse_half_restored(layout)
    marker(layout).write_text(json.dumps({"from": "s3://b/x", "backup_id": "7"}))
    with pytest.raises(RefusalError, match="a restore of this home was cut short: backup 7 from s3://b/x") as refusal:
        refuse_half_restored(layout)
    assert "./scripts/tieout restore --from s3://b/x" in refusal.value.next
