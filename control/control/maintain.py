"""`tieout maintain`: care of the lake, and retention of what is old."""

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from control.check import seconds_of
from core.layout import find_layout
from transformation.cli import LONGEST_WAIT

SHORTEST_DAYS = 7
NEVER = "never"


def mount(app: typer.Typer) -> None:
    """Register `maintain`."""
    app.command()(maintain)


def maintain(
    expire_dead_letters: Annotated[
        str, typer.Option("--expire-dead-letters-after", metavar="SPAN", help="Catalogue and bytes; or never.")
    ] = "365d",
    expire_audit: Annotated[
        str, typer.Option("--expire-audit-after", metavar="SPAN", help="Totals, offsets, metrics of loads; or never.")
    ] = "730d",
    expire_proofs: Annotated[
        str, typer.Option("--expire-proofs-after", metavar="SPAN", help="What proofs have found; or never.")
    ] = "365d",
    patience: Annotated[
        float, typer.Option(min=0, max=LONGEST_WAIT, help="Seconds to wait for the running stream.")
    ] = 900.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Merge small files and remove those that nobody needs, where the loader has passed. No row of bronze ever expires.

    A running stream does it between batches; otherwise it is done here. Dead letters, books of loads and proofs go when
    they are old enough; what went is in metadata.retention_floor with its totals, where the full proof begins.

    Example: ./scripts/tieout maintain --expire-dead-letters-after 90d --expire-audit-after never
    """
    from core.settings import load_settings
    from spark_streaming.maintenance import run_maintenance
    from warehouse.retention import expire

    now = datetime.now(UTC)
    spans = {"dead_letters": expire_dead_letters, "loads": expire_audit, "proof_rows": expire_proofs}
    before = {book: _midnight(now, span) for book, span in spans.items() if span != NEVER}
    _log_to_stderr()
    layout = find_layout()
    # The catalogue first: it decides by coordinates which dead letters count as expired, and the proof goes by it.
    expired = expire(load_settings(layout), before) if before else {}
    day = before["dead_letters"].date().isoformat() if "dead_letters" in before else None
    result = run_maintenance(load_settings(layout), layout, patience=patience, expire_before=day)
    if as_json:
        typer.echo(json.dumps({**result, "expired": expired}))
        return
    for line in _lines(result, expired):
        typer.echo(line)


def _midnight(now: datetime, span: str) -> datetime:
    """Return the begin of the UTC day so long ago: whole days go, as the lake's files are."""
    seconds = seconds_of(span, "--expire-…-after")
    if seconds < SHORTEST_DAYS * 86_400:
        raise typer.BadParameter(f"{span} is too short: at least {SHORTEST_DAYS}d", param_hint="--expire-…-after")
    return (now - timedelta(seconds=seconds)).replace(hour=0, minute=0, second=0, microsecond=0)


def _lines(result: dict[str, Any], expired: dict[str, int]) -> list[str]:
    lines = [f"{book.replace('_', ' ')}: {count:,} expired" for book, count in expired.items() if count]
    for name, done in result.items():
        if done["watermark"] is None:
            lines.append(f"{name}: the loader has read nothing yet, so nothing was touched")
        else:
            gone = f", {done['days_expired']} days expired" if done.get("days_expired") else ""
            lines.append(
                f"{name}: {done['days_compacted']} days compacted up to version {done['watermark']}{gone}, "
                f"{done['files_before']} files before, {done['files_after']} now"
            )
    return lines


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
    logging.getLogger("tieout").setLevel(logging.INFO)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
