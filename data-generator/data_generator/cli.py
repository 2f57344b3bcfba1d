"""`tieout produce` and `tieout dataset`."""

import gc
import json
import secrets
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import TieoutError
from core.layout import find_layout
from core.text import shown

if TYPE_CHECKING:
    from data_generator.produce import Context

SAMPLE = "fraudTrain_33k.csv.gz"

dataset_app = typer.Typer(no_args_is_help=True, help="The public card transactions that the gateway replays.")

Json = Annotated[bool, typer.Option("--json", help="The summary as JSON, on stdout.")]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="R",
        help="Payments a second; 0 is as fast as it goes. Default: PRODUCER_RATE, with --total 0.",
        show_default=False,
    ),
]
Total = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        show_default=False,
        help="Payments to send (settlements and re-sends come on top); all: FILE once. Default: endless.",
    ),
]


def _as_broker(text: str | None) -> str | None:
    from data_generator.options import parse_broker

    if text is None:
        return None
    try:
        return parse_broker(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Broker = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Default: KAFKA_BOOTSTRAP.", show_default=False, callback=_as_broker),
]
Kaggle = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="A file of the fraudTrain.csv form, csv or csv.gz. Default: the bundled sample.",
        show_default=False,
    ),
]  # fmt: skip
Mix = Annotated[str, typer.Option(metavar="SHARE", help="Share of replayed rows; the rest are made up.")]
Seed = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Same seed, --start and card-hash key: same bytes. Default: random.",
        show_default=False,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(metavar="T", help="With a zone; live begins, last: ends there. Default: now.", show_default=False),
]
TimelineOption = Annotated[
    str,
    typer.Option(
        metavar="live|original|last:30d",
        help="When payments occur: from now on; as FILE says, with its ids; evenly over the time before now.",
    ),
]
Faults = Annotated[str, typer.Option(metavar="SHARE", help="Share of payments to break on purpose.")]
Settle = Annotated[str, typer.Option(metavar="TIME", help="Longest time to a settlement; live: a day is a minute.")]
Resend = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Send the events of data/undelivered/FILE.", show_default=False)
]
BadRows = Annotated[str, typer.Option(metavar="N", help="Skip up to N rows of FILE that cannot be read or sent.")]
To = Annotated[
    Path | None,
    typer.Option(metavar="FILE", show_default=False, help="Default: data/batch_files/fraudTrain.csv."),
]
Refunds = Annotated[str, typer.Option(metavar="SHARE", help="Share of successful payments that are refunded.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Build everything, send nothing.")]


def mount(root: typer.Typer) -> None:
    """Register this component's commands on the root application."""
    root.command()(produce)
    root.add_typer(dataset_app, name="dataset")


def _surroundings(broker: str | None, *, needs_password: bool, needs_key: bool) -> "Context":
    from contracts.entities import load_entities
    from core.settings import load_settings
    from data_generator.produce import Context
    from data_generator.stopping import Stop

    settings = load_settings()
    return Context(
        entities={entity.name: entity for entity in load_entities()},
        broker=replace(settings.kafka_place, bootstrap=broker) if broker else settings.kafka_place,
        password=settings.kafka_password("gateway", "nothing was sent.") if needs_password else "",
        card_hash_key=settings.secret("CARD_HASH_KEY", "nothing was sent.") if needs_key else "",
        undelivered=find_layout().undelivered,
        stop=Stop(),
        statements=find_layout().batch_files,
    )


def _finish(summary: dict[str, Any], error: TieoutError | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        said = {name: value for name, value in summary.items() if value not in (None, {}, False)}
        for name, value in said.items():
            typer.echo(f"{name.replace('_', ' '):18} {json.dumps(value) if isinstance(value, dict) else shown(value)}")
    if error is not None:
        raise error


def produce(
    ctx: typer.Context,
    *,
    rate: Rate = None,
    total: Total = None,
    broker: Broker = None,
    kaggle: Kaggle = None,
    mix: Mix = "0.7",
    seed: Seed = None,
    start: Start = None,
    timeline: TimelineOption = "live",
    faults: Faults = "0",
    settle_within: Settle = "3d",
    refunds: Refunds = "0.02",
    resend: Resend = None,
    max_bad_rows: BadRows = "0",
    dry_run: DryRunOption = False,
    as_json: Json = False,
) -> None:
    """Send payments to Kafka as a payment gateway does: replayed card rows and made-up Indian payments.

    Example: ./scripts/tieout produce --total 1000 --timeline last:30d --faults 0.02
    """
    if resend is not None:
        _resend(ctx, resend, broker, as_json=as_json)
        return
    from contracts.control_total import GATEWAY
    from core.settings import load_settings
    from data_generator.card_file import CardFile
    from data_generator.clock import moment
    from data_generator.options import Asked, make_plan, parse_bad_rows
    from data_generator.produce import produce as run_gateway
    from data_generator.progress import say

    file = CardFile(kaggle or find_layout().samples / SAMPLE, parse_bad_rows(max_bad_rows), say)
    asked = Asked(rate, total, mix, seed, start, timeline, faults, settle_within, refunds, dry_run)
    plan = make_plan(asked, file, load_settings().producer_rate)
    context = _surroundings(broker, needs_password=not dry_run, needs_key=bool(plan.mix))
    run = f"{GATEWAY}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    at = moment(plan.start).isoformat()
    rebuild = f"./scripts/tieout produce --seed {plan.seed} --start {shlex.quote(at)} with the other options unchanged"
    say(f"feed {run}: seed {plan.seed}, start {at}, {plan.total if plan.total is not None else 'endless'} payments")
    context.stop.listen()
    # Events make no cycles, and up to 6,000 of them are under way: looking for cycles among them cost a fifth.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    outcome = run_gateway(plan, file, run, context, dry_run=dry_run, rebuild=rebuild)
    _finish(outcome.summary | {"start": at}, outcome.error, as_json=as_json)


def _resend(ctx: typer.Context, file: Path, broker: str | None, *, as_json: bool) -> None:
    from data_generator.resend import resend

    allowed = {"resend", "broker", "as_json"}
    others = [n for n in ctx.params if n not in allowed and str(ctx.get_parameter_source(n)).endswith("COMMANDLINE")]
    if others:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise typer.BadParameter(f"sends the events as they are: {named} does not go with it", param_hint="--resend")
    context = _surroundings(broker, needs_password=True, needs_key=False)
    context.stop.listen()
    outcome = resend(file, context)
    _finish(outcome.summary, outcome.error, as_json=as_json)


@dataset_app.command()
def download(
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", show_default=False, help="Default: data/batch_files/fraudTrain.csv."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch the full card transactions from Kaggle (CC0, about 350 MB) and check every row.

    Example: ./scripts/tieout dataset download
    """
    from data_generator.dataset import fetch

    found = fetch(to or find_layout().batch_files / "fraudTrain.csv", force=force)
    _finish(found, None, as_json=as_json)


def main(command: Callable[..., None]) -> None:
    """Run one command of this component by itself, as producer.py and kaggle_loader.py do."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except TieoutError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
