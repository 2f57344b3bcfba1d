"""`tieout bench`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def mount(root: typer.Typer) -> None:
    """Register the benchmark on the root application."""
    root.command()(bench)


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller, some twenty minutes in all.")] = False,
    hop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="produce, bronze, silver, gold, event_to_gold, drain, proof or start; may come more than once.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when a ratio is a fifth below benchmarks/baseline.json.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep-baseline", help="Keep the ratios as benchmarks/baseline.json; commit it.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The JSON. Default: a new file in data/bench/.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON, on stdout.")] = False,
    tiny: Annotated[
        bool, typer.Option("--tiny", hidden=True, help="Shows that it works; its times say nothing.")
    ] = False,
) -> None:
    """Measure every hop, most of them beside a limit and what else one would use, on throw-away platforms.

    Every side's count and exact sum are held against each other. What a machine does in a second differs from one to
    the next, so that goals are ratios within one run; close what else is at work.

    Example: ./scripts/tieout bench --quick --hop silver
    """
    from bench.guard import ALLOWED, compared, fallen, keep_baseline, read_baseline
    from bench.hops import NAMES
    from bench.play import play
    from bench.report import table, write

    unknown = [name for name in hop or () if name not in NAMES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(NAMES)}", param_hint="--hop")
    names = tuple(name for name in NAMES if name in (hop or NAMES))
    report = play(names, "tiny" if tiny else "quick" if quick else "full", lambda so_far: write(so_far, out))
    path = write(report, out)
    typer.echo(json.dumps(report) if as_json else table(report))
    typer.echo(f"JSON: {path}", err=True)
    if check:
        baseline = read_baseline(report["size"])
        lines = fallen(report, baseline)
        count, lacking = compared(report, baseline)
        typer.echo(f"{count} ratios compared with the baseline", err=True)
        for line in lacking:
            typer.echo(f"not measured, and in the baseline: {line}", err=True)
        for line in lines:
            typer.echo(f"fell by more than {ALLOWED:.0%}: {line}", err=True)
        if lines:
            raise typer.Exit(1)
    if keep:
        keep_baseline(report)
    if any("failed" in found for found in report["hops"].values()):
        raise typer.Exit(1)
