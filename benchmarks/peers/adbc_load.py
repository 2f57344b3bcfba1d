"""Peer: ADBC ingest of Arrow batches into a stage, then INSERT into the indexed table, in one transaction."""

import json
import sys
import time

import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi


def main() -> None:
    """Load one Parquet file."""
    told = json.loads(sys.stdin.read())
    names = ", ".join(f'"{name}"' for name in told["columns"])
    casts = ", ".join(f'"{name}"::{kind}' for name, kind in told["columns"].items())
    begun = time.perf_counter()
    with pq.ParquetFile(told["file"]) as file, dbapi.connect(told["uri"]) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("stage", file.iter_batches(50_000), mode="create", temporary=True)
        cursor.execute(
            f"insert into {told['table']} ({names}) select {casts} from stage"  # noqa: S608  # names are the bench's own
            " on conflict do nothing"
        )
        connection.commit()
        seconds = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
