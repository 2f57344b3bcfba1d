"""One comparison from file to verdict, written down in one transaction."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.files import give_to_owner, replacing
from core.layout import Layout, find_layout
from core.settings import Settings, load_settings
from warehouse.reconcile import compare as comparing
from warehouse.reconcile.dialect import Dialect
from warehouse.reconcile.errors import MisuseError, StatementFileError
from warehouse.reconcile.footer import FooterCheck, check_footer, days_of_footer
from warehouse.reconcile.statement_file import StatementFile
from warehouse.snapshot import one_snapshot

SHOWN_DIFFERENCES = 1_000
_LONGEST_PERIOD = 3_660


def reconcile(
    file: Path,
    dialect: Dialect,
    *,
    days: tuple[date, date] | None = None,
    dates: bool = True,
    require_footer: bool = False,
    out: Path | None = None,
    settings: Settings | None = None,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Compare an outside statement with silver and gold, and write down what was found.

    It runs as role dbt, which reads raw and marts and may add rows to metadata.reconciliation_*.

    Args:
        file: CSV, or csv.gz.
        dialect: how it is written.
        days: first and last day; our transactions of these must be in the file. None: the days that the file's footer
            says, else those of its lines.
        dates: whether a transaction that stands under another day is a difference.
        require_footer: whether a file without footer is damaged.
        out: where differences are written as CSV, mode 600. None: a new file in the home's data/reconciliation.
        settings: the warehouse's; read from the home when not given.
        layout: the home.

    Returns:
        what `tieout reconcile --json` prints.

    Raises:
        TieoutError: the file is damaged, or the database is away; nothing was written.
    """
    begun = time.monotonic()
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    statement = StatementFile(file, dialect, dict(load_entity(PAYMENTS).currencies))
    sha256 = statement.sha256()
    run_id, checked_at = uuid4(), datetime.now(UTC)
    path = out or layout.data / "reconciliation" / f"{file.name.partition('.')[0][:100]}-{run_id.hex[:8]}.csv"
    # The file takes its name when the database has committed.
    with ExitStack() as files, one_snapshot(settings.dsn("dbt"), "nothing was written.") as db:
        lines = comparing.fill(db, statement.lines())
        if require_footer and not statement.footer:
            raise StatementFileError(file, "has no footer", "ask its sender for the whole file")
        checks = check_footer(statement.footer, comparing.sums_of_lines(db))
        period = _period(db, statement, days)
        totals, waiting = comparing.compare(db, period, dates=dates, zone=dialect.zone)
        result = _result(totals, checks, statement, period) | {
            "run_id": str(run_id),
            "checked_at": checked_at.isoformat(),
            "file": str(file),
            "file_sha256": sha256,
            "lines": lines,
            "waiting_for_build": waiting,
            "left_out": statement.left_out,
            "unsure_amounts": {"count": statement.unsure[0], "first": statement.unsure[1] or None},
            "zone": dialect.zone.name if dialect.zone else None,
            "names_zones": statement.names_zones,
            "differences": comparing.first_differences(db, SHOWN_DIFFERENCES),
            "differences_file": None,
        }
        if result["difference_count"]:
            result["differences_file"] = str(path)
            _write_csv(db, path, files)
        result["seconds"] = round(time.monotonic() - begun, 3)
        _keep(db, result)
    return result


def _period(db: comparing.Connection, statement: StatementFile, asked: tuple[date, date] | None) -> Sequence[date]:
    if asked is not None:
        first, last = asked
        if not 0 <= (last - first).days < _LONGEST_PERIOD:
            raise MisuseError(f"--from {first} --to {last}: from the first day to the last, ten years at most")
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]
    found = days_of_footer(statement.footer) or comparing.days_of_lines(db)
    if not found:
        raise StatementFileError(
            statement.path, "has no payments and says of no day that it is its own", "--from DAY --to DAY"
        )
    return found


def _result(
    totals: Sequence[comparing.Total], checks: Sequence[FooterCheck], statement: StatementFile, period: Sequence[date]
) -> dict[str, Any]:
    bad = [total for total in totals if total.kind != "MATCHED"]
    # A difference with an amount on both sides is one, whichever currencies it is counted under.
    count = sum(total.our_count if total.kind == "MISSING_WITH_THEM" else total.their_count for total in bad)
    footer = "NONE" if not checks else "AGREES" if all(check.agrees for check in checks) else "DIFFERS"
    return {
        "ok": count == 0 and footer != "DIFFERS",
        "period": {"from": str(period[0]), "to": str(period[-1]), "days": len(period)},
        "matched": sum(total.their_count for total in totals if total.kind == "MATCHED"),
        "difference_count": count,
        "footer": {"verdict": footer, "lines": len(statement.footer), "checks": [check.as_json() for check in checks]},
        "totals": [
            {**vars(total), "their_amount": str(total.their_amount), "our_amount": str(total.our_amount)}
            for total in totals
        ],
    }


def _write_csv(db: comparing.Connection, path: Path, files: ExitStack) -> None:
    """Write the differences beside their place, for their owner only."""
    try:
        new = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if new:  # in a home whose data belongs to the services' account
            give_to_owner(path.parent, path.parent.parent)
        comparing.copy_differences(db, files.enter_context(replacing(path, mode=0o600)))
    except OSError as error:
        raise StatementFileError(path, f"the differences cannot be written: {error.strerror}", "--out FILE") from None


def _keep(db: comparing.Connection, result: dict[str, Any]) -> None:
    kept = min(result["difference_count"], comparing.KEPT_DIFFERENCES)
    period = result["period"]
    db.execute(
        """
        insert into metadata.reconciliation_runs (run_id, checked_at, file, file_sha256, first_day, last_day, days,
            lines, matched, differences, differences_kept, waiting_for_build, footer, seconds, verdict)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            *(result["run_id"], result["checked_at"], result["file"], result["file_sha256"]),
            *(period["from"], period["to"], period["days"], result["lines"], result["matched"]),
            *(result["difference_count"], kept, result["waiting_for_build"], result["footer"]["verdict"]),
            *(result["seconds"], "OK" if result["ok"] else "DIFFERENT"),
        ],
    )
    with db.cursor() as cursor:
        cursor.executemany(
            "insert into metadata.reconciliation_totals values"
            " (%(run_id)s, %(currency)s, %(kind)s, %(their_count)s, %(their_amount)s, %(our_count)s, %(our_amount)s)",
            [{"run_id": result["run_id"], **total} for total in result["totals"]],
        )
    comparing.keep_differences(db, result["run_id"])
