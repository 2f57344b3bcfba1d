"""`tieout ingest`."""

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import OptionError
from core.layout import find_layout

if TYPE_CHECKING:
    from data_generator.ingest.mapping import FileMapping
    from data_generator.ingest.run import Report
    from data_generator.produce import Context

Json = Annotated[bool, typer.Option("--json", help="The report of each file as a line of JSON, on stdout.")]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="MAPPING", show_default=False, help="A shipped mapping's name, or a YAML file."),
]
BadRows = Annotated[
    str, typer.Option("--max-bad-rows", metavar="N|all", help="Keep up to N rows of a file apart that cannot be sent.")
]
Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the file is called in the books. Default: its path.", show_default=False),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Look at the files and send nothing.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on: take each further file once it is whole.")]
Suggest = Annotated[bool, typer.Option("--suggest", help="Write a mapping to start from, guessed from the file.")]
Changed = Annotated[bool, typer.Option("--changed", help="A file of a known name is a new version of that file.")]
KeepGone = Annotated[
    int, typer.Option("--keep-gone", metavar="N", min=0, help="With --changed: N earlier rows are not in it and stay.")
]
Overlap = Annotated[
    str,
    typer.Option(metavar="NAME|none", show_default=False, help="Of which other file this is an export; none: of none."),
]
SOURCES = typer.Argument(
    metavar="SOURCE...",
    help="CSV, JSON lines or Parquet, also gzip or zip; a folder, a pattern in quotes, or s3://BUCKET/PREFIX/.",
)


refused_app = typer.Typer(no_args_is_help=True, help="Rows of files that could not be sent.")


def mount(root: typer.Typer) -> None:
    """Register this component's commands on the root application."""
    root.command()(ingest)
    root.add_typer(refused_app, name="refused")


def ingest(
    sources: Annotated[list[str], SOURCES],
    *,
    mapping: As = None,
    max_bad_rows: BadRows = "0",
    name: Name = None,
    changed: Changed = False,
    keep_gone: KeepGone = 0,
    overlap: Overlap = "",
    dry_run: DryRunOption = False,
    follow: Follow = False,
    suggest: Suggest = False,
    as_json: Json = False,
) -> None:
    """Send the rows of files to Kafka as events: once, whatever is killed, and proven against the files' own sums.

    Example: ./scripts/tieout ingest export.csv --as card-bank --dry-run
    """
    from core.settings import load_settings
    from data_generator.ingest.mapping import find_mapping
    from data_generator.ingest.run import Asked
    from data_generator.ingest.session import Session
    from data_generator.options import parse_bad_rows

    if suggest:
        _suggest(sources)
        return
    if mapping is None:
        raise _misuse("--as is missing", "--as NAME or FILE; --suggest writes one to start from")
    if follow and (dry_run or name):
        raise _misuse("--follow goes with neither --dry-run nor --name", "leave one of them out")
    bad_rows = None if max_bad_rows == "all" else parse_bad_rows(max_bad_rows)
    asked = Asked(bad_rows, changed, keep_gone, overlap)
    found = find_mapping(mapping)
    # Events make no cycles: looking for cycles among them costs time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    settings = load_settings()
    context = None if dry_run else context_of(found)
    if context is not None:
        context.stop.listen()
    session = Session(settings, found, asked, context, lambda report: _print(report, as_json=as_json))
    if follow:
        session.follow(sources)
    else:
        session.ingest(sources, name)


def _suggest(sources: Sequence[str]) -> None:
    from data_generator.ingest.source import Source
    from data_generator.ingest.suggest import suggest

    if len(sources) != 1:
        raise _misuse("--suggest looks at one file", "name one file")
    typer.echo(suggest(Source(Path(sources[0]), sources[0])), nl=False)


def _misuse(what: str, next: str) -> OptionError:
    return OptionError(f"{what}.", "nothing was sent.", next)


def context_of(mapping: "FileMapping") -> "Context":
    """Return what the gateway knows, to send the events of a mapping."""
    from contracts.entities import load_entities
    from core.settings import load_settings
    from data_generator.produce import Context
    from data_generator.stopping import Stop

    settings = load_settings()
    return Context(
        entities={entity.name: entity for entity in load_entities()},
        broker=settings.kafka_place,
        password=settings.kafka_password("gateway", "nothing was sent."),
        card_hash_key=settings.secret("CARD_HASH_KEY", "nothing was sent.") if mapping.is_keyed else "",
        undelivered=find_layout().undelivered,
        stop=Stop(),
    )


def _print(report: "Report", *, as_json: bool) -> None:
    from data_generator.ingest.report import as_text

    typer.echo(json.dumps(report.as_json()) if as_json else as_text(report) + "\n")


Feed = Annotated[str, typer.Argument(metavar="FEED", help="The feed of the file, as `refused list` says it.")]


@refused_app.command("list")
def list_refused(as_json: Json = False) -> None:
    """Show the files that have refused rows: how many are open, sent again and written off, with their sums.

    Example: ./scripts/tieout refused list
    """
    from contracts.control_total import amounts_as_json
    from core.settings import load_settings
    from data_generator.ingest import refused
    from data_generator.ingest.registry import open_registry
    from data_generator.ingest.report import refused_as_text

    with open_registry(load_settings()) as registry:
        files = refused.list_refused(registry.connection)
    if as_json:
        for each in files:
            states = {
                state: {"rows": rows, "amounts": amounts_as_json(money)} for state, (rows, money) in each.states.items()
            }
            typer.echo(json.dumps({"run": each.run, "file": each.name, "states": states, "reasons": each.reasons}))
    else:
        typer.echo(refused_as_text(files))


@refused_app.command("export")
def export_refused(feed: Feed, to: Annotated[Path, typer.Option(metavar="FILE", help="A new private file.")]) -> None:
    """Write the open refused rows of a file, as they stand there, to a private file to be mended. It is logged.

    Example: ./scripts/tieout refused export gateway-file-... --to rows.csv
    """
    from core.files import write_file
    from core.settings import load_settings
    from data_generator.ingest import refused
    from data_generator.ingest.mapping import find_mapping
    from data_generator.ingest.registry import open_registry

    with open_registry(load_settings()) as registry:
        found = refused.open_rows_of(registry.connection, feed)
        refused.log_unmasked(registry.connection, feed, len(found.rows))
        try:
            write_file(to, b"".join(found.lines(find_mapping(found.mapping_file))), mode=0o600)
        except OSError as error:
            raise _misuse(f"{to} cannot be written: {error.strerror or error}", "name another place") from None
    typer.echo(f"{len(found.rows)} rows: mend them in {to}, then ./scripts/tieout refused redrive {feed} --from {to}")


@refused_app.command("redrive")
def redrive_refused(
    feed: Feed,
    *,
    mended: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", show_default=False, help="The rows, mended; else as they are."),
    ] = None,
    mapping: As = None,
    dry_run: DryRunOption = False,
    as_json: Json = False,
) -> None:
    """Send refused rows again as a feed of their own: mended in a file, or by a mended mapping.

    Example: ./scripts/tieout refused redrive gateway-file-... --as my-export.yaml
    """
    from core.settings import load_settings
    from data_generator.ingest.mapping import find_mapping
    from data_generator.ingest.redrive import redrive

    settings = load_settings()

    def listening(found: "FileMapping") -> "Context | None":
        context = None if dry_run else context_of(found)
        if context is not None:
            context.stop.listen()
        return context

    report = redrive(settings, feed, mended, find_mapping(mapping) if mapping else None, listening)
    _print(report, as_json=as_json)
    if report.error is not None:
        raise report.error


@refused_app.command("write-off")
def write_off_refused(
    feed: Feed, reason: Annotated[str, typer.Option(metavar="TEXT", help="Why these rows are no payments.")]
) -> None:
    """Write off all open refused rows of a file: they stay in its books, and nobody sends them.

    Example: ./scripts/tieout refused write-off gateway-file-... --reason "lines of a page footer"
    """
    from core.settings import load_settings
    from data_generator.ingest import refused
    from data_generator.ingest.registry import open_registry

    if not reason.strip():
        raise _misuse("--reason is blank", "say why these rows are no payments")
    with open_registry(load_settings()) as registry:
        found = refused.open_rows_of(registry.connection, feed)
        lines = [line for line, _ in found.rows]
        count = refused.decide(registry.connection, feed, lines, "WRITTEN_OFF", reason=reason)
    typer.echo(f"{count} rows are written off.")
