"""Maintenance goes entity by entity: a table that cannot be maintained leaves those of another entity to be."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.entities import load_entities
from core.errors import TieoutError
from core.lake import Lake
from core.places import LocalPlace
from core.settings import Settings
from spark_streaming import maintenance
from spark_streaming.tables import StreamTable, stream_tables


def test_an_entity_that_cannot_be_maintained_is_named_and_the_other_is_maintained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = [table for entity in load_entities() for table in stream_tables(Lake(LocalPlace(tmp_path)), entity)]
    seen = []

    def one(table: StreamTable, _: int | None) -> dict[str, Any]:
        seen.append(table.name)
        if table.entity.name == "transactions":
            raise OSError(errno.EIO, "Input/output error")
        return {"watermark": None}

    monkeypatch.setattr(maintenance, "watermarks", lambda _: {})
    monkeypatch.setattr(maintenance, "maintain_table", one)
    with pytest.raises(TieoutError, match=r"^transactions: Maintenance failed: .*Input/output error") as failed:
        maintenance.maintain(Settings(), lake)
    assert seen == ["bronze", "bronze_refunds", "dead_letters_refunds"]
    assert sorted(failed.value.done) == ["bronze_refunds", "dead_letters_refunds"]


def test_maintenance_needs_no_spark() -> None:
    program = "import sys, spark_streaming.maintenance; print([name for name in sys.modules if 'pyspark' in name])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"
