"""`tieout stream`."""

import logging
import re
import sys
from pathlib import Path
from typing import Annotated

import typer


def mount(root: typer.Typer) -> None:
    """Register the stream's command on the root application."""
    root.command()(stream)
    root.command()(pack)


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
    logging.getLogger("tieout").setLevel(logging.INFO)
    # It prints the traceback of every batch that fails; the stream reports the failure once, with the next command.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)


def _trigger(text: str) -> str:
    match = re.fullmatch(r"([0-9]{1,6})\s*(s|m)", text)
    if not match:
        raise typer.BadParameter("give seconds or minutes, such as 30s or 2m")
    return f"{match[1]} {'seconds' if match[2] == 's' else 'minutes'}"


def stream(  # noqa: PLR0917  (a command's options are its interface)
    once: Annotated[bool, typer.Option("--once", help="Drain what is there at the call, then end.")] = False,
    trigger: Annotated[str, typer.Option(help="How often a batch is made: 30s, 2m.")] = "30s",
    accept_loss: Annotated[
        list[str] | None,
        typer.Option(metavar="P:FROM-TO", help="Offsets that retention took: go on behind them, and record the loss."),
    ] = None,
    accept_topic: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with a topic that was made anew under the same name.")
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose loss or topic is accepted; with --once only that one is drained."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it goes to the books with what is accepted.")] = "",
) -> None:
    """Bring events from Kafka to bronze and dead letters, each exactly once.

    Ends cleanly between batches on SIGTERM or Ctrl-C.

    Example: ./scripts/tieout stream --once
    """
    from contracts.entities import entity_names, is_no_entity
    from contracts.model import PAYMENTS
    from core.layout import find_layout
    from core.settings import load_settings
    from core.spans import OFFSETS
    from spark_streaming.job import run_stream
    from spark_streaming.start import Acceptance, Loss

    losses = []
    for text in accept_loss or []:
        match = OFFSETS.fullmatch(text)
        if not match:
            raise typer.BadParameter(f"{text} is not P:FROM-TO, such as 3:100-250", param_hint="--accept-loss")
        losses.append(Loss(*map(int, match.groups())))
    if accept_topic is not None and not accept_topic.strip():
        raise typer.BadParameter("it is empty; name the topic's id", param_hint="--accept-topic")
    if entity is not None and entity not in entity_names():
        raise typer.BadParameter(is_no_entity(entity), param_hint="--entity")
    if entity is not None and not (losses or accept_topic):
        raise typer.BadParameter(
            "it says whose loss or topic is accepted; the stream itself serves all", param_hint="--entity"
        )
    if (losses or accept_topic) and not reason.strip():
        raise typer.BadParameter("say why: it goes to the books", param_hint="--reason")
    _log_to_stderr()
    layout = find_layout()
    accepted = Acceptance(reason, tuple(losses), accept_topic, entity or PAYMENTS)
    acceptance = accepted if losses or accept_topic else None
    run_stream(load_settings(layout), layout, once=once, trigger=_trigger(trigger), acceptance=acceptance)


def pack(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", show_default=False, help="Where the archive goes.")],
) -> None:
    """Put the Python packages that Spark's executors need into one file, for SPARK_PYTHON_ARCHIVE.

    Make it anew after each change of the checkout: executors with other code are refused.

    Example: ./scripts/tieout pack --to /srv/tieout/python.tar.gz
    """
    from spark_streaming.pack import pack as write

    size = write(to)
    typer.echo(f"{to}: {size / 1e6:.0f} MB. Set SPARK_PYTHON_ARCHIVE={to.resolve()} in .env", err=True)
