"""`tieout dlq list|show|export|redrive|write-off`."""

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

dlq = typer.Typer(no_args_is_help=True, help="Dead letters as money: look at them, put them back, write them off.")

Entity = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only letters of this entity. Offsets without it are the payments'.")
]
Rejected = Annotated[bool, typer.Option("--rejected", help="The rejected events instead of the dead letters.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]
Reason = Annotated[str | None, typer.Option(help="Only letters with this reason code.")]
Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Only letters that arrived on this day (UTC).")]
Source = Annotated[str | None, typer.Option(metavar="RUN", help="Only letters of this feed.")]
Offsets = Annotated[str | None, typer.Option(metavar="P:O", help="Named letters: 0:17, 2:5-9 or 0:17,2:5-9.")]
All = Annotated[bool, typer.Option("--all", help="Every letter that is open.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Skip = Annotated[bool, typer.Option("--skip-decided", help="Leave out decided letters instead of refusing.")]


def mount(root: typer.Typer) -> None:
    """Register the commands on the root application."""
    root.add_typer(dlq, name="dlq")


@dlq.command("list")
def list_(
    *,
    entity: Entity = None,
    reason: Reason = None,
    day: Day = None,
    source: Source = None,
    state: Annotated[str, typer.Option(help="open, redriven, written-off or all.")] = "open",
    by: Annotated[
        str, typer.Option(help="What makes a line: any of reason,day,source,state.")
    ] = "reason,day,source,state",
    letters: Annotated[bool, typer.Option("--letters", help="Single letters with their coordinates.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The most letters that --letters shows.")] = 50,
    rejected: Rejected = False,
    as_json: Json = False,
) -> None:
    """List letters by reason, day and source feed, with what they seem to be worth, their age and state.

    Example: ./scripts/tieout dlq list --by reason
    """
    from warehouse.dlq import commands, display

    selection = commands.select(
        rejected=rejected, entity=entity, reason=reason, day=_day(day), source=source, state=state
    )
    found = commands.list_letters(selection, by=by, letters=letters, limit=limit)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        display.show_list(found)


@dlq.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="P:O", help="Partition and offset, such as 0:17.")],
    entity: Entity = None,
    unmask: Annotated[bool, typer.Option("--unmask", help="With the bytes and personal data; this is logged.")] = False,
    rejected: Rejected = False,
    as_json: Json = False,
) -> None:
    """Show one letter: every reason in words, the fields (personal data masked), and what became of it.

    Example: ./scripts/tieout dlq show 0:17
    """
    from warehouse.dlq import commands, display

    selection = commands.select(rejected=rejected, entity=entity, offsets=letter, state="all")
    found = commands.show_letter(selection, unmask=unmask)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        display.show_letter(found)


@dlq.command()
def export(
    file: Annotated[Path, typer.Argument(help="A new file; it gets mode 600 and holds personal data.")],
    *,
    entity: Entity = None,
    reason: Reason = None,
    day: Day = None,
    source: Source = None,
    offsets: Offsets = None,
    every: All = False,
    rejected: Rejected = False,
    as_json: Json = False,
) -> None:
    """Write open letters to a file, a JSON line each, to be mended and sent by `redrive --from`; this is logged.

    Example: ./scripts/tieout dlq export letters.jsonl --reason AMOUNT_TYPE
    """
    from warehouse.dlq import commands

    _needs_a_choice(reason, day, source, offsets, every)
    selection = commands.select(
        rejected=rejected, entity=entity, reason=reason, day=_day(day), source=source, offsets=offsets
    )
    _say_outcome(commands.export(selection, file), as_json)


@dlq.command()
def redrive(
    *,
    entity: Entity = None,
    reason: Reason = None,
    day: Day = None,
    source: Source = None,
    offsets: Offsets = None,
    every: All = False,
    from_file: Annotated[Path | None, typer.Option("--from", help="An edited file of `dlq export`.")] = None,
    dry_run: DryRun = False,
    skip_decided: Skip = False,
    rejected: Rejected = False,
    as_json: Json = False,
) -> None:
    """Put letters back, each once, as a feed of its own with control totals: one feed an entity.

    A redrive that was killed is finished first, with the same bytes; without a choice of letters, only that is done.

    Example: ./scripts/tieout dlq redrive --from letters.jsonl --dry-run
    """
    from warehouse.dlq import commands

    chosen = every or any(choice is not None for choice in (reason, day, source, offsets))
    if from_file is not None and (chosen or entity is not None):
        raise typer.BadParameter("the file says which letters: no other choice goes with --from.")
    if entity is not None:
        _needs_a_choice(reason, day, source, offsets, every)
    selection = commands.select(
        rejected=rejected, entity=entity, reason=reason, day=_day(day), source=source, offsets=offsets
    )
    outcome = commands.redrive_letters(
        selection, file=from_file, chosen=chosen, dry_run=dry_run, skip_decided=skip_decided
    )
    _say_outcome(outcome, as_json)


@dlq.command("write-off")
def write_off(
    *,
    why: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the books.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Who answers for it.")],
    entity: Entity = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Letters with this reason code.")] = None,
    day: Day = None,
    source: Source = None,
    offsets: Offsets = None,
    every: All = False,
    dry_run: DryRun = False,
    rejected: Rejected = False,
    as_json: Json = False,
) -> None:
    """Take open letters out of the open books for good, with a reason and a name.

    Example: ./scripts/tieout dlq write-off --offsets 0:17 --reason "test traffic of a partner" --name "Asha Iyer"
    """
    from warehouse.dlq import commands

    _needs_a_choice(code, day, source, offsets, every)
    selection = commands.select(
        rejected=rejected, entity=entity, reason=code, day=_day(day), source=source, offsets=offsets
    )
    _say_outcome(commands.write_off_letters(selection, why, name, dry_run=dry_run), as_json)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-11-20.") from None


def _needs_a_choice(*choices: object) -> None:
    if all(choice in {None, False} for choice in choices):
        raise typer.BadParameter("say which letters: by reason code, --day, --source, --offsets or --all.")


def _say_outcome(outcome: dict[str, Any], as_json: bool) -> None:
    from warehouse.dlq import display

    if as_json:
        typer.echo(json.dumps(outcome))
    else:
        display.show_outcome(outcome)
    if not outcome["ok"]:
        raise typer.Exit(1)
