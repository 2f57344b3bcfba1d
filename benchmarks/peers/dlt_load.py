"""Peer: dlt. Fresh rows are appended to a table without keys; rows that repeat are merged by their key."""

import json
import os
import sys
import tempfile
import time


def main() -> None:
    """Load one Parquet file."""
    told = json.loads(sys.stdin.read())
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": home, "RUNTIME__LOG_LEVEL": "ERROR"}
        import dlt  # noqa: PLC0415  # reads its settings when it is imported
        import pyarrow.parquet as pq  # noqa: PLC0415

        # Of its strategies the one that takes equal keys within one load for one row.
        merge = {"disposition": "merge", "strategy": "delete-insert"} if told["repeats"] else "append"

        @dlt.resource(name="silver", write_disposition=merge, primary_key=("transaction_id", "status"))
        def rows():  # type: ignore[no-untyped-def]
            with pq.ParquetFile(told["file"]) as file:
                yield from file.iter_batches(50_000)

        begun = time.perf_counter()
        pipeline = dlt.pipeline(
            "bench", destination=dlt.destinations.postgres(told["uri"]), dataset_name="bench_dlt", pipelines_dir=home
        )
        pipeline.run(rows(), loader_file_format="csv")
        seconds = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
