"""Where loading is, by the loads' own books: the newest of each partition, of one topic, of loads that went well."""

from typing import Any

import pytest
from own_database import OwnDatabase

from warehouse.watermark import loaded_ends

pytestmark = pytest.mark.services


def test_the_ends_are_those_of_the_newest_good_load_of_each_partition(database: OwnDatabase, query: Any) -> None:
    whole = "now(), 0, 0, 0, 0, 0, 0, 0, 0, 0"
    query(
        "insert into metadata.load_audit (status, finished_at, rows_expected, rows_read, rows_loaded, duplicates,"
        f" rejected, already_loaded, dead_letters_expected, dead_letters_read, dead_letters) select 'SUCCESS', {whole}"
        " from generate_series(1, 200)"
    )
    query("insert into metadata.load_audit (status, error_code) values ('FAILED', 'X')")
    query(
        "insert into metadata.load_offsets select n, case when n % 3 = 0 then 'other' else 't' end, p, n * 10,"
        " n * 10 + 10 from generate_series(1, 200) n, unnest('{0,2,5}'::int[]) p where n <= 100 or p <> 5"
    )
    query("insert into metadata.load_offsets values (201, 't', 0, 2010, 9999)")
    with database.connect("loader") as connection:
        assert loaded_ends(connection, "t") == {0: 2010, 2: 2010, 5: 1010}
        assert loaded_ends(connection, "other") == {0: 1990, 2: 1990, 5: 1000}
        assert loaded_ends(connection, "none") == {}
