"""`tieout backup` and `tieout restore`."""

import json
import os
from typing import Annotated

import typer

from core.layout import find_layout


def mount(app: typer.Typer) -> None:
    """Register `backup` and `restore`."""
    app.command()(backup)
    app.command()(restore)


def backup(
    to: Annotated[str, typer.Option(metavar="URL", help="Where to: s3://bucket/prefix, or file: and a folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was copied as JSON.")] = False,
) -> None:
    """Copy warehouse, lake and settings while everything runs. Secrets and what Kafka alone has are not in it.

    What the address has already is not copied again. LAKE_ENDPOINT and the keys in .env are those of the address too.
    A backup holds payments of people: keep it as private as the platform.

    Example: ./scripts/tieout backup --to file:/mnt/backups/tieout
    """
    from control.backup.make import make_backup

    os.umask(0o077)  # a copy is private from its first file on
    done = make_backup(find_layout(), to)
    if as_json:
        typer.echo(json.dumps(done))
        return
    typer.echo(f"backup {done['backup_id']} at {done['to']}: {done['bytes']:,} bytes")
    typer.echo("\n".join(_lines(done)))
    typer.echo(f"Next: {done['next']}")


def restore(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The address that the backup was made to.")],
    backup_id: Annotated[
        str | None, typer.Option("--backup", metavar="ID", help="Which one; the newest without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was restored and proven as JSON.")] = False,
) -> None:
    """Bring a backup to a home without payments, go on with this home's topic, and prove it; exit 1 when it differs.

    Every file is read and found whole before anything is written. Broker and database are started where they do not
    run; nothing else may run. A restore that was cut short begins anew with the same command.

    Example: ./scripts/tieout restore --from file:/mnt/backups/tieout
    """
    from control.backup.restore import restore_backup

    done = restore_backup(find_layout(), source, backup_id)
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo(f"backup {done['backup_id']} from {done['from']} is here")
        typer.echo("\n".join(_lines(done)))
        typer.echo(
            f"proof: {'OK' if done['proof']['ok'] else 'DIFFERENT, see ./scripts/tieout proof --full --explain'}"
        )
        typer.echo(f"Next: {done['next']}")
    if not done["proof"]["ok"]:
        raise typer.Exit(1)


def _lines(done: dict[str, object]) -> list[str]:
    lake, rows = done["lake"], done["warehouse"]["rows"]  # type: ignore[index]
    lines = [f"{name}: version {t['version']}, {t['rows']:,} rows, {t['files']:,} files" for name, t in lake.items()]  # type: ignore[attr-defined]
    return [*lines, *(f"{name}: {rows[name]:,} rows" for name in ("raw.transactions",) if name in rows)]
