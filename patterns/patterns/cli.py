"""`tieout chunks` and `tieout patterns`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

patterns = typer.Typer(help="Patterns in chunks: look for them, and have a detection computed again.")

group = typer.Typer(help="Patterns in chunks: look for them, and have a detection computed again.")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]


def mount(root: typer.Typer) -> None:
    """Register the commands on the root application."""
    root.command()(chunks)
    root.add_typer(group, name="patterns")


def chunks(
    file: Annotated[Path, typer.Argument(help="CSV with a header, plain or gzip.")],
    *,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="Rows of a chunk.")] = 10_000,
    every: Annotated[str, typer.Option(metavar="SPAN", help="From chunk to chunk; 0s: as fast as it goes.")] = "1s",
    to: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="s3://bucket/folder or a folder; input_chunks in the lake's bucket, else in data/, without it.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Cut a file into chunks, one a second. The same command again goes on where it ended.

    Example: ./scripts/tieout chunks transactions.csv --to s3://lake/input_chunks
    """
    from patterns.cut import as_text, cut, tell

    found = cut(file, rows=rows, every=every, to=to, told=tell if as_json else lambda _: None)
    typer.echo(json.dumps(found.as_json()) if as_json else as_text(found))
    if not found.is_whole:
        raise typer.Exit(1)


@group.callback(invoke_without_command=True)
def watch(
    ctx: typer.Context,
    *,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="ADDRESS", help="The folder of the chunks: what `chunks --to` names."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Folder of the files of detections; without it detections, or detections_NAME, beside the chunks.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The importance file: Source, Target, Weight, typeTrans. Needed the first time.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="A file like patterns/patterns/rules.yaml.")] = None,
    name: Annotated[str, typer.Option(help="Of this watch; another one looks at every chunk anew.")] = "default",
    gap: Annotated[str, typer.Option("--gap", metavar="SPAN", help="Until a missing chunk is named.")] = "30s",
    idle: Annotated[
        str, typer.Option("--idle", metavar="SPAN", help="Without a chunk, until a shorter file is written.")
    ] = "60s",
    once: Annotated[bool, typer.Option("--once", help="End when what is there is read.")] = False,
    started_at: Annotated[str | None, typer.Option(hidden=True, help="YStartTime of a new watch.")] = None,
    as_json: Json = False,
) -> None:
    """Look for patterns in chunks, each as soon as it is there, until their file ends. The same command goes on.

    Example: ./scripts/tieout patterns --from s3://lake/input_chunks --weights CustomerImportance.csv
    """
    if ctx.invoked_subcommand is not None:
        return
    from patterns import watch as process
    from patterns.rules import OWN

    terms = process.Terms(
        name=name,
        source=source,
        detections=to,
        weights=weights,
        rules=rules or OWN,
        gap=gap,
        idle=idle,
        is_once=once,
        started_at=datetime.fromisoformat(started_at) if started_at else None,
    )
    process.watch(terms, as_json=as_json)


@group.command("list")
def list_(
    *,
    watch: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this watch.")] = None,
    pattern: Annotated[str | None, typer.Option(metavar="ID", help="Only PatId1, PatId2 or PatId3.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The most detections.")] = 20,
    as_json: Json = False,
) -> None:
    """List detections, the newest first.

    Example: ./scripts/tieout patterns list --pattern PatId1
    """
    from patterns.report import detections_as_text, list_detections

    found = list_detections(watch, pattern, limit)
    typer.echo(json.dumps(found, default=str) if as_json else detections_as_text(found))


@group.command()
def status(
    *,
    watch: Annotated[str | None, typer.Option(metavar="NAME", help="Only this watch.")] = None,
    as_json: Json = False,
) -> None:
    """Show how far each watch is, and what is wrong with its chunks.

    Example: ./scripts/tieout patterns status --json
    """
    from patterns.report import read_status, status_as_text

    found = read_status(watch)
    typer.echo(json.dumps(found, default=str) if as_json else status_as_text(found))


@group.command()
def explain(
    detection_id: Annotated[str, typer.Argument(metavar="ID", help="A detection's id, or the begin of it.")],
    as_json: Json = False,
) -> None:
    """Compute a detection again from the payments, and say whether it is the same; exit 1 when it is not.

    Example: ./scripts/tieout patterns explain 4f1c2a
    """
    from patterns import explain as process

    found = process.explain(detection_id)
    typer.echo(json.dumps(process.as_json(found)) if as_json else process.as_text(found))
    if not found.is_equal:
        raise typer.Exit(1)


@group.command()
def demo(
    file: Annotated[Path | None, typer.Argument(help="CSV as of `tieout chunks`; the sample without it.")] = None,
    *,
    weights: Annotated[Path | None, typer.Option(help="Its importance file; the sample's without it.")] = None,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="Rows of a chunk.")] = 10_000,
    every: Annotated[str, typer.Option(metavar="SPAN", help="From chunk to chunk.")] = "1s",
    rules: Annotated[Path | None, typer.Option(help="A file like patterns/patterns/rules.yaml.")] = None,
    as_json: Json = False,
) -> None:
    """Cut a file into chunks and look for patterns in them at once, with a line each second.

    Example: ./scripts/tieout patterns demo
    """
    from patterns import demo as process

    found = process.demo(file, weights, rows=rows, every=every, rules=rules)
    typer.echo(json.dumps(found) if as_json else process.as_text(found))
