"""From the words of the command line to a plan; what makes no sense is refused as misuse (exit 2)."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import TypeVar

import typer

from data_generator.card_file import CardFile
from data_generator.clock import milliseconds
from data_generator.plan import ALL, LAST, LIVE, ORIGINAL, Plan, parse_duration, parse_share, parse_timeline
from data_generator.produce import resolve_total

_T = TypeVar("_T")


@dataclass(frozen=True)
class Asked:
    """The options of `tieout produce` that shape the plan, as they were typed."""

    rate: float | None
    total: str | None
    mix: str
    seed: int | None
    start: str | None
    timeline: str
    faults: str
    settle_within: str
    dry_run: bool


def _parsed(option: str, parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _parse_total(text: str) -> int | str:
    if text == ALL:
        return text
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is neither a number of payments nor all")
    return int(text)


def _parse_start(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; add Z or +05:30")
    return moment


def _refuse_misuse(total: int | str | None, timeline: str, mix: Fraction, *, dry_run: bool) -> None:
    if not mix and (total == ALL or timeline == ORIGINAL):
        raise typer.BadParameter("with --mix 0 no row of the file is sent, so it has no end", param_hint="--mix")
    if total is None and timeline == LAST:
        raise typer.BadParameter("--timeline last: needs --total N or all", param_hint="--total")
    if total is None and timeline == LIVE and dry_run:
        raise typer.BadParameter("needs --total: an endless run has no summary", param_hint="--dry-run")


def make_plan(asked: Asked, file: CardFile, default_rate: float) -> Plan:
    """Return the plan of a run. Reads the whole file once where rows of it are to be sent.

    Raises:
        typer.BadParameter: an option is not understood or does not go with another.
        KaggleFileError: the file cannot be read, or has more bad rows than allowed.
    """
    timeline, span = _parsed("--timeline", parse_timeline, asked.timeline)
    mix = _parsed("--mix", parse_share, asked.mix)
    faults = _parsed("--faults", parse_share, asked.faults)
    settle_within = _parsed("--settle-within", parse_duration, asked.settle_within)
    start = _parsed("--start", _parse_start, asked.start) if asked.start else datetime.now(UTC)
    total = _parsed("--total", _parse_total, asked.total) if asked.total is not None else None
    _refuse_misuse(total, timeline, mix, dry_run=asked.dry_run)
    if mix:
        file.check()
    seed, rate = asked.seed, asked.rate
    if seed is None:
        # A file under its own ids and times is the same feed whenever it is sent; any other is a new one each time.
        seed = 0 if timeline == ORIGINAL else secrets.randbelow(2**32)
    if rate is None:
        rate = default_rate if total is None and timeline == LIVE else 0
    payments = resolve_total(total, timeline, file, mix)
    return Plan(
        seed, milliseconds(start), timeline, span, mix, payments, Fraction(str(rate)), faults, settle_within
    )  # fmt: skip
