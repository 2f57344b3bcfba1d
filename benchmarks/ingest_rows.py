"""How fast `tieout ingest` sends a large file, and with how much memory, next to what only reads or loads it.

    .tieout/env/platform/bin/python benchmarks/ingest_rows.py [--rows 1000000] [--no-dlt]

It makes a platform of its own in a temporary folder and removes it at the end. The sides: `ingest`, to the closing
control total; its first look alone (`--dry-run`); DuckDB, which reads the same file as text and keeps nothing; dlt,
which loads it into PostgreSQL as text. Prints a line of JSON: seconds, rows a second, peaks in MiB.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
from psycopg.conninfo import conninfo_to_dict

from bench.ground import ask_peer, end_on_signal, forget_settings, own_platform
from bench.play import peers_python
from bench.silver_rows import connect
from control.roles import dsn

HEADER = (
    "trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,job,"
    "dob,trans_num,unix_time,merch_lat,merch_long,is_fraud\n"
)


def write_rows(file: Path, rows: int) -> None:
    """Write a file in the form of Kaggle's fraudTrain.csv, the same in every run."""
    drawn = random.Random(24)  # noqa: S311  (a file for measuring)
    with file.open("w", encoding="utf-8") as out:
        out.write(HEADER)
        for number in range(rows):
            day, second = 1 + number % 28, number % 86_400
            out.write(
                f"2024-01-{day:02d} {second // 3_600:02d}:{second // 60 % 60:02d}:{second % 60:02d},"
                f'{4_000_000_000_000_000 + number % 9_973},"fraud_Rippin, Kub and Mann",misc_net,'
                f"{drawn.randrange(100, 900_000) / 100:.2f},Jennifer,Banks,F,561 Perry Cove,Moravian Falls,NC,28654,"
                f'36.0788,-81.1781,3495,"Psychologist, counselling",1988-03-09,{number:032x},1325376018,36.011293,'
                f"-82.048315,{int(number % 173 == 0)}\n"
            )


def _duckdb(file: Path) -> float:
    begun = time.perf_counter()
    with duckdb.connect() as connection:
        found = connection.execute(
            "select count(*), sum(length(concat_ws('', columns(*)))) from read_csv(?, all_varchar = true)", [str(file)]
        )
        found.fetchall()
    return time.perf_counter() - begun


def main() -> None:
    """Write, ingest, compare; print what it took."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--no-dlt", action="store_true", help="without the peer that needs an environment of its own")
    asked = options.parse_args()
    forget_settings()
    end_on_signal()
    peaks: dict[str, dict[str, int]] = {"ingest": {}, "dry run": {}}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="tieout-bench-rows-") as folder, own_platform() as ground:
        Path(folder).chmod(0o755)
        file = Path(folder) / "rows.csv"
        write_rows(file, asked.rows)
        words = ("ingest", str(file), "--as", "card-fraud", "--json")
        looked: dict[str, Any] = json.loads(ground.tieout(*words, "--dry-run", peaks=peaks["dry run"]))
        sent: dict[str, Any] = json.loads(ground.tieout(*words, peaks=peaks["ingest"]))
        if sent["acknowledged"] != asked.rows or not sent["closed"]:
            raise SystemExit(f"ingest has sent {sent['acknowledged']} of {asked.rows} rows")
        seconds |= {"ingest": sent["seconds"], "dry run": looked["seconds"], "DuckDB": _duckdb(file)}
        if not asked.no_dlt:
            parts = conninfo_to_dict(dsn(ground.env, "postgres"))
            uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parts)
            seconds["dlt"] = float(ask_peer(peers_python(), "dlt_csv.py", {"file": str(file), "uri": uri})["seconds"])
            with connect(ground.env) as db:
                if db.execute("select count(*) from bench_csv.rows").fetchone() != (asked.rows,):
                    raise SystemExit("dlt has loaded another number of rows")
        size = file.stat().st_size
    said = {
        "rows": asked.rows,
        "mib": size >> 20,
        "seconds": {side: round(each, 1) for side, each in seconds.items()},
        "rows_a_second": {side: round(asked.rows / each) for side, each in seconds.items()},
        "peak_mib": {side: each["python"] for side, each in peaks.items()},
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
