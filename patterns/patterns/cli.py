"""`tieout chunks` and `tieout patterns`."""

import json
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]


def mount(root: typer.Typer) -> None:
    """Register the commands on the root application."""
    root.command()(chunks)


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
