"""Peer: dlt. The rows of a CSV file as texts, appended to a table without keys."""

import csv
import json
import os
import sys
import tempfile
import time


def main() -> None:
    """Load one CSV file."""
    told = json.loads(sys.stdin.read())
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": home, "RUNTIME__LOG_LEVEL": "ERROR"}
        import dlt  # noqa: PLC0415  # reads its settings when it is imported

        @dlt.resource(name="rows", write_disposition="append")
        def rows():  # type: ignore[no-untyped-def]
            with open(told["file"], newline="", encoding="utf-8") as file:  # noqa: PTH123
                yield from csv.DictReader(file)

        begun = time.perf_counter()
        pipeline = dlt.pipeline(
            "bench", destination=dlt.destinations.postgres(told["uri"]), dataset_name="bench_csv", pipelines_dir=home
        )
        pipeline.run(rows(), loader_file_format="csv")
        seconds = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
