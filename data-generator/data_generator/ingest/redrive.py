"""Refused rows that are sent again: as a file of their own, by the way of all files."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from core.settings import Settings
from core.text import shown, shown_list
from data_generator.ingest import refused
from data_generator.ingest.errors import NOTHING_SENT
from data_generator.ingest.mapping import FileMapping, find_mapping
from data_generator.ingest.registry import open_registry
from data_generator.ingest.run import Asked, FileRunner, Report
from data_generator.ingest.source import Source
from data_generator.produce import Context


def redrive(
    settings: Settings,
    run: str,
    mended: Path | None,
    mapping: FileMapping | None,
    context_of: Callable[[FileMapping], Context | None],
) -> Report:
    """Send open refused rows of a feed again, as a feed of their own, and write down what they became.

    A row that is refused once more is an open refused row of the new feed.

    Args:
        settings: where broker and warehouse are.
        run: the feed.
        mended: a file of `refused export`, mended; None: the rows as they are.
        mapping: a mended mapping; None: the one that refused them.
        context_of: makes the gateway's context; None: nothing is sent.

    Raises:
        RefusedError: there are no such rows.
        TieoutError: they cannot be sent.
    """
    with tempfile.TemporaryDirectory(prefix="tieout-refused-") as folder, open_registry(settings) as registry:
        rows = refused.open_rows_of(registry.connection, run)
        mapping = mapping or find_mapping(rows.mapping_file)
        file, of_rows = mended or Path(folder, "rows"), refused.mapping_of_rows(mapping, rows)
        if mended is None:
            file.write_bytes(b"".join(rows.lines(mapping)))
        lines, known = refused.named_lines(file, of_rows), {line for line, _ in rows.rows}
        if lines - known:
            raise refused.RefusedError(
                f"{shown(file)} holds rows that are not open refused rows of {shown(run)}: "
                f"lines {shown_list(sorted(lines - known)[:10])}.",
                NOTHING_SENT,
                refused.LIST,
            )
        context = context_of(of_rows)
        auditor = settings.kafka_password("auditor", NOTHING_SENT) if context else ""
        # Whatever their number: those that are refused again are kept under their new feed.
        asked = Asked(max_bad_rows=None, overlap="refused rows of " + run, changed=True)
        key = context.card_hash_key if context else ""
        runner = FileRunner(of_rows, asked, key, context, registry if context else None, auditor=auditor)
        report = runner.run(Source(file, f"refused rows of {run}: {len(lines)} from line {min(lines)}"))
        is_there = report.sent.closed or report.known is not None
        if is_there and report.run is not None:
            refused.decide(registry.connection, run, sorted(lines), "SENT_AGAIN", new_run=report.run)
        return report
