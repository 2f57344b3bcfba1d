"""A database whose disk is full takes nothing, says so in one line, and takes all of it when there is room."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lake_writer import LakeWriter, payment
from own_database import OwnDatabase

from control.testing import Handle
from core.errors import TieoutError

pytestmark = pytest.mark.services
Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def small_disk(services: Handle, database: OwnDatabase) -> Iterator[Path]:
    """A file system of 4 MB that holds raw.transactions and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("A DATABASE WITH A FULL DISK IS NOT TESTED: only root can mount a small one")
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=False).returncode:
        place.rmdir()
        pytest.skip("A DATABASE WITH A FULL DISK IS NOT TESTED: this machine does not let root mount one")
    owner = services.platform.accounts.postgres_data.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    try:
        with database.connect() as connection:
            connection.execute(f"create tablespace small location '{place}'")
            connection.execute("alter table raw.transactions set tablespace small")
            yield place
            connection.execute("alter table raw.transactions set tablespace pg_default")
            connection.execute("drop tablespace small")
    finally:
        subprocess.run(["umount", "-l", place], check=False)
        place.rmdir()


@pytest.mark.parametrize("try_fresh", [True, False])
def test_a_full_disk_stops_a_load_which_goes_on_when_there_is_room(
    load: Load, lake: LakeWriter, query: Query, small_disk: Path, try_fresh: bool
) -> None:
    lake.commit([payment("first")])
    load()
    lake.commit([payment(f"t{number}", customer_name="é" * 200) for number in range(8000)])
    with pytest.raises(TieoutError, match="the database's disk is full") as stopped:
        load(try_fresh=try_fresh)
    assert "é" not in str(stopped.value)
    assert query("select count(*) from raw.transactions") == [(1,)]
    assert query("select count(*), max(load_id) from metadata.load_offsets") == [(1, 1)]
    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    (done,) = load(try_fresh=try_fresh)
    assert (done["status"], done["rows_loaded"]) == ("SUCCESS", 8000)
    assert query("select count(*), sum(amount) from raw.transactions") == [(8001, 8001 * payment()["amount"])]
