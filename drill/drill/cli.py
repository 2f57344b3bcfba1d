"""`tieout drill`."""

import json
import secrets
from typing import Annotated

import typer


def mount(root: typer.Typer) -> None:
    """Register the drill on the root application."""
    root.command()(drill)


def drill(
    *,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="kills (the default), broker-restart, database-restart, checkpoint-deleted, bronze-deleted, "
            "two-loaders, two-streams, paused-writer, sent-again, clock-set-back, redrive-killed, disk-full; "
            "on a platform that has their part store-restart, executor-killed, brokers-killed; "
            "may come more than once.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every scenario of the plain platform.")] = False,
    profiles: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME", help="On a platform with this optional part.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same kills. Default: random.", show_default=False)
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of kills, of up to five kills each.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the drill's platform, stopped, and say where.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON, on stdout.")] = False,
) -> None:
    """Kill the parts of a throw-away platform at the worst moments, and prove after each round that the books tie out.

    It has a home, ports and secrets of its own and never touches your data. Half a minute a round; exit 1 when
    anything differs, with the command that repeats it.

    Example: ./scripts/tieout drill --rounds 10 --seed 7
    """
    from drill.run import KILLS, KNOWN, NAMES, play

    names = NAMES if everything else tuple(dict.fromkeys(scenario or [KILLS]))
    unknown = [name for name in names if name not in KNOWN]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(KNOWN)}", param_hint="--scenario")
    drawn = secrets.randbelow(10**6) if seed is None else seed
    result = play(names, drawn, rounds, keep=keep, profiles=tuple(profiles or ()))
    typer.echo(json.dumps(result.as_json()) if as_json else str(result))
    if result.error:
        raise result.error
    if not result.ok:
        raise typer.Exit(1)
