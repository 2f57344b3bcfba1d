"""Keep Airflow's own books short: `tidy.py LOGS DAYS AIRFLOW`, once a day for as long as it runs.

Runs and task logs older than DAYS go. A task cannot do this: Airflow lets none of them at its database. It runs as a
file and imports nothing of ours, so that it costs a few megabytes.
"""

import contextlib
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST_SECONDS = 900.0
EVERY_SECONDS = 86_400.0


def delete_logs(folder: Path, before: float) -> int:
    """Delete files that were last written before a time, and folders that are empty then; return how many files."""
    count = 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before the folder
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                if path.stat().st_mtime < before:
                    path.rmdir()  # refuses one that is not empty
            elif path.lstat().st_mtime < before:
                path.unlink()
                count += 1
    return count


def tidy(folder: Path, days: float, airflow: str) -> None:
    """Delete the logs and ask Airflow to delete the rows."""
    before = datetime.now(UTC) - timedelta(days=days)
    deleted = delete_logs(folder, before.timestamp())
    command = [airflow, "db", "clean", "--clean-before-timestamp", before.isoformat(), "--skip-archive", "--yes"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    print(f"{deleted} task logs from before {before:%Y-%m-%d} deleted", flush=True)  # noqa: T201
    if done.returncode != 0:
        print(f"airflow db clean ended with {done.returncode}: {done.stderr[-2000:]}", flush=True)  # noqa: T201


def main(arguments: list[str]) -> None:
    """Tidy once a day, the first time when the start is over."""
    folder, days, airflow = Path(arguments[0]), float(arguments[1]), arguments[2]
    time.sleep(FIRST_SECONDS)
    while True:
        tidy(folder, days, airflow)
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
