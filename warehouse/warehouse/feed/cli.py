"""`tieout feed list|void`."""

import json
from typing import Annotated, Any

import typer

from contracts.model import PAYMENTS, is_named
from core.text import shown

feed = typer.Typer(no_args_is_help=True, help="Feeds in the books: how each stands, and the end of one for good.")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]
NOT_OK = ("different", "open", "void", "unattested")


def mount(root: typer.Typer) -> None:
    """Register the commands on the root application."""
    root.add_typer(feed, name="feed")


@feed.command("list")
def list_(
    *,
    verdict: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="different, open, void, unattested, ok or all. Default: all but ok."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The most feeds that are shown.")] = 50,
    as_json: Json = False,
) -> None:
    """List feeds, newest first: what arrived of each, what its sender has stated, and the verdict of E0.

    Example: ./scripts/tieout feed list --verdict different
    """
    from core.settings import load_settings
    from warehouse.feed.books import list_feeds

    word = (verdict or "").lower()
    words = (*NOT_OK, "ok") if word == "all" else NOT_OK if verdict is None else (word,)
    if not set(words) <= {*NOT_OK, "ok"}:
        raise typer.BadParameter(f"{shown(verdict)} is none of {', '.join(NOT_OK)}, ok, all.", param_hint="--verdict")
    found = list_feeds(load_settings(), [word.upper() for word in words], limit)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _show(found)


@feed.command()
def void(
    feeds: Annotated[list[str], typer.Argument(metavar="FEED", help="The feeds, as the proof shows them.")],
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the books.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be ended.")] = False,
    as_json: Json = False,
) -> None:
    """End feeds in the books for good: the proof shows them as VOID and compares them no more.

    For a feed that cannot tie out: its control totals contradict each other, or speak of events that never come.
    Its events stay in all tables. The books keep who ended it, when and why.

    Example: ./scripts/tieout feed void partner-7 --reason "the partner began its count at 1 again"
    """
    from core.settings import load_settings
    from warehouse.feed.books import LONGEST_REASON, void_feeds

    reason = reason.strip()
    if not reason or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise typer.BadParameter(
            f"say why, in one line of 1 to {LONGEST_REASON} characters: it goes to the books.", param_hint="--reason"
        )
    outcome = void_feeds(load_settings(), feeds, reason, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(outcome))
        return
    for each in outcome["feeds"]:
        done = "would be ended" if dry_run else "is ended"
        of = "" if each["entity"] == PAYMENTS else f" of {each['entity']}"
        typer.echo(f"feed {shown(each['feed'])}{of} {done}: it was {each['verdict']}, {each['events']:,} events stay.")
    if not dry_run:
        typer.echo("The next proof shows VOID. Next: ./scripts/tieout proof")


def _show(found: dict[str, Any]) -> None:
    from contracts.control_total import NO_FEED
    from contracts.entities import load_entity
    from core.console import PlainConsole, PlainTable

    console = PlainConsole()
    named = is_named(each["entity"] for each in found["feeds"])
    first = ("feed", "entity") if named else ("feed",)
    columns = (*first, "verdict", "events", "stated", "agreed", "closed", "ended by", "reason")
    table = PlainTable(*columns, right=frozenset(range(len(first) + 1, len(first) + 5)))
    for each in found["feeds"]:
        numbers = (each["events"], each["stated"], each["agreed"], each["closed"])
        table.add_row(
            NO_FEED if named and each["feed"] == load_entity(each["entity"]).no_feed else each["feed"],
            *([each["entity"]] if named else []),
            each["verdict"],
            *("" if number is None else f"{number:,}" for number in numbers),
            each["ended_by"] or "",
            each["reason"] or "",
        )
    console.print(table)
    if found["more"]:
        console.print(f"{found['more']:,} more: --limit shows them")
    console.print(", ".join(f"{count:,} {verdict}" for verdict, count in found["verdicts"].items()) or "no feed yet")
