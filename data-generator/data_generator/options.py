"""From the words of the command line to a plan; what makes no sense is refused as misuse (exit 2)."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import TypeVar

import typer

from data_generator.card_file import CardFile
from data_generator.clock import EARLIEST, LATEST, milliseconds
from data_generator.plan import (
    ALL,
    LAST,
    LIVE,
    ORIGINAL,
    UNPACED_RATE,
    Plan,
    named,
    parse_duration,
    parse_share,
    parse_timeline,
)
from data_generator.produce import resolve_total

_T = TypeVar("_T")
_V = TypeVar("_V")

# A feed's numbers, settlements and re-sends with them, stay below what every reader of JSON holds exactly (2**53).
MOST_PAYMENTS = 10**15
# One payment in eleven days; and more than any machine sends.
SLOWEST = 1e-6
FASTEST = 1e9


@dataclass(frozen=True)
class Asked:
    """The options of `tieout produce` that shape the plan, as they were typed."""

    rate: str | None
    total: str | None
    mix: str
    seed: str | None
    start: str | None
    timeline: str
    faults: str
    settle_within: str
    refunds: str
    dry_run: bool


def _parsed(option: str, parse: Callable[[_V], _T], text: _V) -> _T:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _parse_total(text: str) -> int | str:
    if text == ALL:
        return text
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise ValueError(f"{named(text)} is neither a number of payments nor all")
    return _of_payments(int(text))


def _of_payments(count: int) -> int:
    if count > MOST_PAYMENTS:
        raise ValueError(f"{count} payments are more than the {MOST_PAYMENTS:,} that a feed can have")
    return count


def _parse_start(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{named(text)} is no moment such as 2026-11-21T10:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{named(text)} has no zone; add Z or +05:30")
    if not EARLIEST <= milliseconds(moment) <= LATEST:
        raise ValueError(f"{named(text)} is not within the years 2 to 9998 in UTC")
    return moment


def parse_broker(text: str) -> str:
    """Return addresses as the Kafka client takes them.

    Raises:
        ValueError: they are not HOST:PORT, several with commas between.
    """
    for address in text.split(","):
        match = re.fullmatch(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})", address)
        if match is None or not 0 < int(match[1]) < 1 << 16:
            raise ValueError(f"{named(text)} is not HOST:PORT")
    return text


def _parse_rate(text: str) -> Fraction:
    try:
        rate = float(text if text.isascii() else "")
    except ValueError:
        raise ValueError(f"{named(text)} is no number of payments a second") from None
    # `not` also refuses what is no number and compares with nothing.
    if rate != 0 and not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"{named(text)} is neither 0 nor between 0.000001 and {FASTEST:,.0f} payments a second")
    return Fraction(str(rate))


def _whole(text: str, least: int, most: int) -> int:
    if re.fullmatch(r"-?[0-9]{1,19}", text) is None or not least <= int(text) <= most:
        raise ValueError(f"{named(text)} is no whole number from {least} to {most}")
    return int(text)


def parse_bad_rows(text: str) -> int:
    """Return how many bad rows may be skipped.

    Raises:
        typer.BadParameter: the text is no such number.
    """
    return _parsed("--max-bad-rows", lambda given: _whole(given, 0, MOST_PAYMENTS), text)


def _refuse_beyond_the_calendar(plan: Plan, asked: Asked) -> None:
    """Refuse a run whose payments would leave the calendar."""
    if plan.timeline == ORIGINAL:
        return
    years = "a payment would not be within the years 2 to 9998"
    if plan.start - plan.span < EARLIEST:
        raise typer.BadParameter(f"with {named(asked.timeline)} {years}", param_hint="--timeline")
    if plan.timeline == LIVE and plan.start + (plan.length or 0) > LATEST:
        raise typer.BadParameter(
            f"with {named(asked.total or '')} at {float(plan.rate or UNPACED_RATE)} a second {years}",
            param_hint="--total",
        )


def _refuse_misuse(total: int | str | None, timeline: str, mix: Fraction, *, dry_run: bool) -> None:
    if not mix and (total == ALL or timeline == ORIGINAL):
        raise typer.BadParameter("with --mix 0 no row of the file is sent, so it has no end", param_hint="--mix")
    if total is None and timeline == LAST:
        raise typer.BadParameter("--timeline last: needs --total N or all", param_hint="--total")
    if total is None and timeline == LIVE and dry_run:
        raise typer.BadParameter("needs --total: an endless run has no summary", param_hint="--dry-run")


def _seed(text: str | None, timeline: str) -> int:
    if text is not None:
        return _parsed("--seed", lambda given: _whole(given, -(2**63), 2**63 - 1), text)
    # A file under its own ids and times is the same feed whenever it is sent; any other is a new one each time.
    return 0 if timeline == ORIGINAL else secrets.randbelow(2**32)


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
    refunds = _parsed("--refunds", parse_share, asked.refunds)
    start = _parsed("--start", _parse_start, asked.start) if asked.start is not None else datetime.now(UTC)
    total = _parsed("--total", _parse_total, asked.total) if asked.total is not None else None
    _refuse_misuse(total, timeline, mix, dry_run=asked.dry_run)
    if asked.rate is not None:
        rate = _parsed("--rate", _parse_rate, asked.rate)
    else:
        rate = _parsed("PRODUCER_RATE", _parse_rate, str(default_rate if total is None and timeline == LIVE else 0))
    if mix:
        file.check()
    payments = resolve_total(total, timeline, file, mix)
    if payments is not None:
        _parsed("--mix", _of_payments, payments)
    plan = Plan(
        _seed(asked.seed, timeline),
        milliseconds(start),
        timeline,
        span,
        mix,
        payments,
        rate,
        faults,
        settle_within,
        refunds,
    )
    _refuse_beyond_the_calendar(plan, asked)
    return plan
