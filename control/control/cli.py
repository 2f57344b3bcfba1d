"""The `tieout` command: every component mounts its own subcommands, control adds those of the platform."""

import errno
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from control.env import settings_of_this_process
from control.file_errors import explain_file_error
from control.registry import profile_names, service_names
from core.errors import OptionError, OutageError, RefusalError, TieoutError
from core.layout import Layout, find_layout
from core.text import shown, shown_lines

COMPONENTS = (
    "contracts.cli",
    "data_generator.cli",
    "data_generator.ingest.cli",
    "spark_streaming.cli",
    "warehouse.cli",
    "warehouse.dlq.cli",
    "warehouse.feed.cli",
    "warehouse.reconcile.cli",
    "warehouse.restate.cli",
    "live.cli",
    "patterns.cli",
    "transformation.cli",
    "control.check",
    "control.incident",
    "control.backfill",
    "control.batch",
    "control.maintain",
    "control.evolve",
    "control.lake",
    "control.backup.cli",
    "control.rebuild",
    "drill.cli",
    "bench.cli",
)

# Of standard output, which has no name.
_OUTPUT_ERRORS = {errno.ENOSPC, errno.EIO, errno.EDQUOT}
# sysexits.h: try again later.
EXIT_CODES = {OptionError: 2, OutageError: 75, RefusalError: 78}  # EX_TEMPFAIL and EX_CONFIG of sysexits.h

PROFILES = f"one of {', '.join(profile_names())}" if profile_names() else "there are none yet"
SERVICES = ", ".join(sorted(service_names()))

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]


@dataclass(frozen=True)
class Session:
    """What a command knows of its platform from before it became the services' account."""

    layout: Layout
    stream_is_supervised: bool


class _Root(TyperGroup):
    """The command; looks at all words first, so that no command has to."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse what neither the database nor a log can hold."""
        for word in args:
            if "\0" in word or any("\ud800" <= char <= "\udfff" for char in word):
                raise typer.BadParameter(f"{shown(word)} is no text in UTF-8", ctx=ctx)
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tieout: payments from Kafka to proven marts. Every hop ties out.",
)


@app.callback()
def _every_command(ctx: typer.Context) -> None:
    from control.drop_privileges import become_service_user

    layout = find_layout()
    supervised = False
    if ctx.invoked_subcommand in {"run", "batch"}:
        from control.supervision import stream_is_supervised

        supervised = stream_is_supervised(layout)
    ctx.obj = Session(layout, supervised)
    become_service_user(layout, ctx.invoked_subcommand, sys.argv[1:])


@app.command()
def start(
    no_demo: Annotated[bool, typer.Option("--no-demo", help="No first load, no continuous producer.")] = False,
    base: Annotated[bool, typer.Option("--base", help="Broker and database only.", hidden=True)] = False,
    wanted: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME", help=f"Also an optional part, kept for later starts: {PROFILES}."),
    ] = None,
    unwanted: Annotated[
        list[str] | None, typer.Option("--without", metavar="NAME", help="No longer that part; its data stays.")
    ] = None,
) -> None:
    """Start the platform, load it the first time, and say where everything is. Safe to repeat.

    Example: ./scripts/tieout start --no-demo
    """
    from control.start import start_platform

    start_platform(find_layout(), demo=not no_demo, jobs=not base, wanted=wanted or (), unwanted=unwanted or ())


@app.command()
def stop() -> None:
    """Stop every service; the data stays.

    Example: ./scripts/tieout stop
    """
    from control.stop import stop_platform

    stop_platform(find_layout())


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop, and delete the broker's log, the cluster and the lake; settings, environments and samples stay.

    Example: ./scripts/tieout reset --yes
    """
    from control.stop import reset_platform

    layout = find_layout()
    if not yes:
        typer.confirm(f"Delete all payments, tables and logs of {layout.home}?", abort=True)
    reset_platform(layout)


@app.command()
def status(as_json: Json = False) -> None:
    """Show each service and each station of the data; exit 1 when something is broken.

    Example: ./scripts/tieout status --json
    """
    from control.status import as_text, read_status

    found = read_status(find_layout())
    if as_json:
        import json

        typer.echo(json.dumps(found))
    else:
        typer.echo(as_text(found))
    if not found["ok"]:
        raise typer.Exit(1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check what the platform needs and name the repair of whatever is wrong; exit 1 when something is.

    Example: ./scripts/tieout doctor
    """
    from control.doctor import as_text, examine

    findings = examine(find_layout())
    if as_json:
        import json

        typer.echo(json.dumps([finding.as_json() for finding in findings]))
    else:
        typer.echo(as_text(findings))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def run(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", help="Repeat every RUN_EVERY_SECONDS in this process.")] = False,
    as_json: Json = False,
    stream: Annotated[str, typer.Option(hidden=True, help="auto, or service: a supervised stream runs.")] = "auto",
) -> None:
    """Run the whole pipeline once: everything produced before the call is in proven marts after it.

    Example: ./scripts/tieout run --json
    """
    from control.rounds import follow_rounds, run_round

    session: Session = ctx.obj
    values = settings_of_this_process(session.layout)
    service_runs = stream == "service" or session.stream_is_supervised
    if follow:
        follow_rounds(session.layout, values, service_runs=service_runs)
    outcome = run_round(session.layout, values, service_runs=service_runs)
    if as_json:
        import json

        typer.echo(json.dumps(outcome.as_json()))
    if outcome.error:
        raise outcome.error
    if not outcome.ok:
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="One statement; without it an interactive session.")] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="Comma-separated, with a header; texts as they are, formulas too.")
    ] = False,
    tuples_only: Annotated[bool, typer.Option("--tuples-only", "-t", help="Only the rows, unaligned.")] = False,
) -> None:
    """Ask the warehouse as the reader, who sees marts and metadata.

    A statement, or statements on standard input, go to the database as they are: psql's own commands, which begin with
    a backslash and can run programs, are refused. Only a session on a terminal has them.

    Example: ./scripts/tieout sql "select count(*) from marts.fact_transactions"
    """
    from control.terminal import open_sql

    if query is not None and query.lstrip().startswith("\\"):
        raise typer.BadParameter("psql's own commands run in a session only: ./scripts/tieout sql", param_hint="QUERY")
    open_sql(find_layout(), query, csv=csv, tuples_only=tuples_only)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help=f"A service, as `status` lists them: {SERVICES}; or dbt, supervisord.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=10**9)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show the end of a service's log.

    Example: ./scripts/tieout logs stream -f
    """
    from control.terminal import show_log

    show_log(find_layout(), name, lines=lines, follow=follow)


@app.command(hidden=True)
def configure() -> None:
    """Write the settings that `.env` lacks.

    Example: ./scripts/tieout configure
    """
    from control.env import ensure_env

    ensure_env(find_layout())


@app.command(hidden=True)
def provision() -> None:
    """Bring topics, users, roles and schemas of a running broker and database to what they should be.

    Example: ./scripts/tieout provision
    """
    from control.bring_up import provision as bring_to_today

    bring_to_today(settings_of_this_process(find_layout()))


def build_app() -> typer.Typer:
    """Return the command with every component's subcommands."""
    for component in COMPONENTS:
        import_module(component).mount(app)
    return app


def main() -> None:
    """Run the command; an error that a person can act on is three lines, not a traceback.

    Exit 75: something was away or busy, the same command may succeed later. Exit 78: a person has to decide first.
    Exit 1: it will not succeed by itself.
    """
    os.environ["LC_ALL"] = "C.UTF-8"  # for Java and psql: in the locale C they cannot name every folder
    try:
        build_app()()
    except TieoutError as error:
        sys.stderr.write(f"{shown_lines(str(error))}\n")
        sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))
    except OSError as error:
        if error.filename is None and error.errno not in _OUTPUT_ERRORS:
            raise
        sys.stderr.write(f"{explain_file_error(error)}\n")
        if error.filename is None:
            # Python would try to write what is left once more at its end, and fail with a traceback.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
