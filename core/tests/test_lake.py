"""Where the lake is, by its settings, and what a folder and a log of it say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from core.bucket import Bucket
from core.errors import OutageError, TieoutError
from core.lake import Lake, LakeTable, LiveFile
from core.layout import CHECKOUT, Layout
from core.places import LocalPlace
from core.settings import Settings, load_settings, parse_settings

KEYS = {"LAKE_ACCESS_KEY": "AK", "LAKE_SECRET_KEY": "hush"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(CHECKOUT, tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    return Lake(LocalPlace(tmp_path)).table("t")


def commit(table: LakeTable, version: int) -> None:
    table.place.create(f"t/_delta_log/{version:020}.json", json.dumps({"commitInfo": {"v": version}}).encode())


def test_without_a_setting_the_lake_is_in_the_folders_that_a_home_has_always_had(layout: Layout) -> None:
    lake = Lake.of(Settings(), layout)
    bronze, dead_letters = lake.table("raw_transactions"), lake.table("dead_letter_queue")
    assert [bronze.folder, dead_letters.folder] == [layout.data / "raw_transactions", layout.data / "dead_letter_queue"]
    assert (lake.url, bronze.uri, bronze.storage_options) == (str(layout.data), str(bronze.folder), {})
    assert bronze != dead_letters


def test_a_lake_knows_the_tables_whose_names_it_is_given(layout: Layout) -> None:
    lake = Lake.of(Settings(), layout, ["broken_a", "a", "broken_b", "b"])
    assert [table.name for table in lake.tables] == ["broken_a", "a", "broken_b", "b"]


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:/mnt/lake", "/mnt/lake"),
        ("file:///mnt/the lake/", "/mnt/the lake"),
        ("file:other/lake", "HOME/other/lake"),
    ],
)
def test_a_file_address_names_a_folder_anywhere_or_below_the_home(layout: Layout, url: str, folder: str) -> None:
    lake = Lake.of(parse_settings({"LAKE_URL": url}, layout), layout)
    assert str(lake.folder) == folder.replace("HOME", str(layout.home))


def test_an_s3_address_names_bucket_and_prefix_and_shows_no_key(layout: Layout) -> None:
    told = {"LAKE_URL": "s3://pay-lake/prod/eu/", "LAKE_ENDPOINT": "http://127.0.0.1:8333/", **KEYS}
    lake = Lake.of(parse_settings(told, layout), layout)
    assert lake.place == Bucket("pay-lake", "prod/eu", "http://127.0.0.1:8333", "us-east-1", "AK", "hush")
    assert lake.bronze.uri == "s3://pay-lake/prod/eu/raw_transactions"
    assert lake.folder is None
    assert lake.bronze.storage_options["aws_secret_access_key"] == "hush"
    assert "hush" not in f"{lake!r} {lake.bronze!r} {lake.bronze}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data", "neither file: nor s3"),
        ("s3a://lake/x", "neither file: nor s3"),
        ("https://b.example/x", "neither"),
        ("s3:lake", "two slashes"),
        ("s3://", "3 to 63"),
        ("s3://a", "3 to 63"),
        ("s3://Lake/x", "3 to 63"),
        ("s3://la_ke/x", "3 to 63"),
        ("s3://key:secret@lake/x", "LAKE_ACCESS_KEY"),
        ("s3://host:9000/lake", "LAKE_ENDPOINT"),
        ("s3://lake/a//b", "empty part"),
        ("s3://lake/a/../b", r"\.\."),
        ("s3://lake/ a", "blank"),
        ("s3://lake/a?b", "some part cannot take"),
        ("s3://lake/a#b", "some part"),
        ("s3://lake/ä", "some part"),
        ("s3://lake/a*", "some part"),
        ("file:", "no folder"),
        ("file:/", "no folder"),
        ("file://host/x", "a host is named"),
        ("file:../x", r"\.\."),
        ("file:a//b", "empty part"),
        ("file:/a:b", "some part"),
        ("file:/a\tb", "some part"),
        ("file:/a%20b", "some part"),
    ],
)
def test_an_odd_address_is_refused_with_words_and_not_repeated(layout: Layout, url: str, why: str) -> None:
    with pytest.raises(TieoutError, match=why) as refusal:
        parse_settings({"LAKE_URL": url, **KEYS}, layout)
    assert "LAKE_URL" in refusal.value.what
    assert ".env" in refusal.value.next
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:8333",
        "ftp://x",
        "http://",
        "http://k:s@x",
        "http://x/path",
        "http://x?a",
        "http://x:99999",
        "http://x y",
    ],
)
def test_an_endpoint_that_is_no_plain_address_is_refused(layout: Layout, endpoint: str) -> None:
    with pytest.raises(TieoutError, match="LAKE_ENDPOINT is not as it should be"):
        parse_settings({"LAKE_ENDPOINT": endpoint}, layout)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"LAKE_ENDPOINT": "http://127.0.0.1:1"}, "LAKE_ACCESS_KEY"), ({"LAKE_ACCESS_KEY": "AK"}, "LAKE_SECRET_KEY")],
)
def test_half_of_the_keys_is_refused_and_the_other_half_named(
    layout: Layout, given: dict[str, str], named: str
) -> None:
    with pytest.raises(TieoutError, match=f"{named} is not set"):
        Lake.of(parse_settings({"LAKE_URL": "s3://lake", **given}, layout), layout)


def test_the_keys_are_secrets_that_set_up_does_not_draw(layout: Layout) -> None:
    assert load_settings(layout).lake_secret_key is None
    assert "hush" not in repr(parse_settings(KEYS, layout))


def test_versions_are_those_of_the_log_in_order_and_backwards_from_a_hint_that_may_be_wrong(table: LakeTable) -> None:
    assert (table.exists(), table.versions(), table.newest_version()) == (False, [], None)
    for version in (0, 1, 2, 10):
        commit(table, version)
    table.place.create("t/_delta_log/00000000000000000010.checkpoint.parquet", b"")
    assert (table.versions(), table.versions(after=1), table.versions(after=10)) == ([0, 1, 2, 10], [2, 10], [])
    assert list(table.versions_backwards()) == [10, 2, 1, 0]
    for hint in (b'{"version": 1}', b'{"version": 10}', b'{"version": 99}', b"no json"):
        (Path(table.uri) / "_delta_log" / "_last_checkpoint").write_bytes(hint)
        assert list(table.versions_backwards()) == [10, 2, 1, 0], hint
    assert table.actions(2) == [{"commitInfo": {"v": 2}}]
    with pytest.raises(FileNotFoundError):
        table.actions(3)


def test_a_new_file_is_whole_or_not_there_and_never_takes_anothers_place(table: LakeTable) -> None:
    table.place.create("t/a/b", b"first")
    with pytest.raises(FileExistsError):
        table.place.create("t/a/b", b"second")
    with pytest.raises(FileExistsError), table.place.open_output("t/a/b"):
        pass
    with pytest.raises(TypeError), table.place.open_output("t/a/c") as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    with table.place.open_output("t/x/y/z") as file:
        file.write(b"whole")
    assert table.sizes() == {"a/b": 5, "x/y/z": 5}
    assert table.place.read("t/a/b") == b"first"
    with table.place.open_input("t/x/y/z") as source:
        source.seek(3)
        assert source.read() == b"le"


def test_duckdb_reads_files_of_a_folder_where_they_are_whatever_their_names(table: LakeTable) -> None:
    with duckdb.connect() as workspace:
        names = ["it's 1.parquet", "b ü.parquet"]
        Path(table.uri).mkdir()
        for number, name in enumerate(names):
            escaped = str(Path(table.uri, name)).replace("'", "''")
            workspace.execute(f"copy (select {number} as n) to '{escaped}' (format parquet)")
        assert table.parquet(workspace, []) is None
        assert list(table.portions(workspace, [])) == []
        (source,) = table.portions(workspace, [LiveFile(name, 2**40, {}) for name in names])
        assert workspace.execute(f"select sum(n), count(*) from {source}").fetchall() == [(1, 2)]
        assert str(table.parquet(workspace, names)) == source


def test_a_store_that_is_away_is_an_outage_that_names_the_next_command(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.bucket.RETRIES", 0)
    told = {"LAKE_URL": "s3://lake", "LAKE_ENDPOINT": "http://127.0.0.1:9", **KEYS}
    bronze = Lake.of(parse_settings(told, layout), layout).bronze
    for ask in (bronze.exists, bronze.delta, lambda: bronze.actions(0), bronze.sizes, lambda: bronze.has("x")):
        with pytest.raises(OutageError, match=r"127\.0\.0\.1:9 does not answer: no connection(.|\n)*tieout doctor"):
            ask()


def test_a_table_that_is_removed_loses_its_log_first(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(table, 0)
    table.place.create("t/day=1/file.parquet", b"x")
    with monkeypatch.context() as patched:
        patched.setattr("core.places.shutil.rmtree", killed_after_the_first(shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            table.remove()
    assert not table.exists()
    assert list(table.sizes()) == ["day=1/file.parquet"]
    table.remove()
    assert table.sizes() == {}


def killed_after_the_first(remove: Callable[[Path], None]) -> Callable[[Path], None]:
    left = iter([remove])

    def work(path: Path) -> None:
        following = next(left, None)
        if following is None:
            raise KeyboardInterrupt
        following(path)

    return work
