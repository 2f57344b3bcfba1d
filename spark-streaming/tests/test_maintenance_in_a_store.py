"""Maintenance of a lake in a real S3 store: the same steps as in a folder, and the same rows."""

import time
from typing import Any
from uuid import uuid4

import delta_tables as lake
import pytest

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from control.store import Store
from core.lake import Lake
from core.layout import CHECKOUT, Layout
from core.settings import parse_settings
from spark_streaming import maintenance, tables
from spark_streaming.errors import LakeBusyError
from spark_streaming.maintenance import expire_days, maintain_table
from spark_streaming.tables import StreamTable
from warehouse.delta_log import commits_after, table_id

pytestmark = pytest.mark.services


@pytest.fixture
def both(store: Store) -> tuple[StreamTable, StreamTable]:
    """Bronze and dead letters with four batches of a first day and two of the next."""
    layout = Layout(CHECKOUT, store.folder)
    settings = parse_settings(store.settings | {"LAKE_URL": f"s3://lake/{uuid4().hex}"}, layout)
    found = tables.stream_tables(Lake.of(settings, layout), load_entity(PAYMENTS))
    for table in found:
        tables.create(table)
        for batch in range(6):
            lake.append(table, 21 + batch // 4)
    return found


def test_files_are_merged_expired_and_removed_and_no_row_changes(
    both: tuple[StreamTable, StreamTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    bronze, dead_letters = both
    before, were, last, now = lake.rows(bronze), bronze.lake.files(), lake.version(bronze), time.time
    assert [row["offset"] for row in before] == list(range(24))
    with monkeypatch.context() as eight_days_ago:
        eight_days_ago.setattr(maintenance.time, "time", lambda: now() - 8 * 24 * 3600)
        eight_days_ago.setattr(maintenance, "_vacuum", lambda _: None)
        done = maintain_table(bronze, last)
    assert done == {"watermark": last, "days_compacted": 1, "files_before": 6, "files_after": 3}
    assert lake.rows(bronze) == before
    (commit,) = commits_after(bronze.lake, last, table_id(bronze.lake))
    assert (commit.files, commit.end) == ((), {0: 24})
    assert all(bronze.lake.has(file.path) for file in were)
    maintain_table(bronze, last)
    assert sum(bronze.lake.has(file.path) for file in were) == 2
    assert lake.rows(bronze) == before
    assert expire_days(dead_letters, lake.version(dead_letters), lake.STARTED.date().replace(day=22)) == 1
    assert lake.offsets(dead_letters) == list(range(16, 24))


def test_a_compaction_whose_files_another_process_has_replaced_is_refused(
    both: tuple[StreamTable, StreamTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    bronze, merge = both[0], maintenance.merge

    def and_meanwhile(*words: Any) -> Any:
        monkeypatch.setattr(maintenance, "merge", merge)
        assert maintain_table(bronze, 6)["days_compacted"] == 1
        return merge(*words)

    monkeypatch.setattr(maintenance, "merge", and_meanwhile)
    with pytest.raises(LakeBusyError):
        maintain_table(bronze, 6)
    assert lake.offsets(bronze) == list(range(24))
