"""The form of a manual run: what may be asked for, what it becomes, and what is refused."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

# A form's pattern is searched for, not matched: it says its ends itself. No partition or offset is longer.
_SPAN = "[0-9]{1,9}:[0-9]{1,18}-[0-9]{1,18}"
OFFSETS = re.compile(f"^{_SPAN}(,{_SPAN})*$")
DIMENSIONS = "Dimensions change only by a full refresh."


def pipeline_form() -> dict[str, Param]:
    """Return the fields of the pipeline's form."""
    return {
        "full_refresh": Param(
            False,
            type="boolean",
            title="Compute all marts anew",
            description="Facts, summaries and dimensions from all loads. Everything else adds what is new.",
        ),
        "lookback_days": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=3650,
            title="Look back, days",
            description=f"Merge the transactions of the data's newest N days again. {DIMENSIONS}",
        ),
        "from_date": _day("From business day", "First day (occurred_on) to merge and sum again, with the day below."),
        "to_date": _day("To business day", f"Last day, itself included. {DIMENSIONS}"),
    }


def backfill_form() -> dict[str, Param]:
    """Return the fields of the backfill's form."""
    return {
        "from_date": _day("From business day", "First day (occurred_on) to read again from the lake."),
        "to_date": _day("To business day", f"Last day, itself included. {DIMENSIONS}"),
        "offsets": Param(
            None,
            type=["null", "string"],
            pattern=OFFSETS.pattern,
            title="Or Kafka offsets",
            description="PARTITION:FROM-TO[,...], as in 0:1200-1300. Instead of days, not with them.",
        ),
    }


def _day(title: str, description: str) -> Param:
    return Param(None, type=["null", "string"], format="date", title=title, description=description)


def build_arguments(params: Mapping[str, Any]) -> list[str]:
    """Return what `tieout build` gets for a form.

    Raises:
        AirflowFailException: fields that contradict each other.
    """
    days = range_of_days(params)
    full_refresh, lookback = bool(params.get("full_refresh")), params.get("lookback_days")
    if full_refresh and (days or lookback is not None):
        raise refusal("full_refresh computes every day anew: leave lookback_days, from_date and to_date empty with it.")
    if days and lookback is not None:
        raise refusal("lookback_days and from_date/to_date are two ways to name days: give one of them.")
    arguments = ["--full-refresh"] if full_refresh else []
    arguments += ["--lookback-days", str(lookback)] if lookback is not None else []
    return arguments + days


def backfill_arguments(params: Mapping[str, Any]) -> list[str]:
    """Return what `tieout backfill` gets for a form.

    Raises:
        AirflowFailException: no range, or two.
    """
    days, offsets = range_of_days(params), params.get("offsets")
    if bool(days) == bool(offsets):
        raise refusal("a backfill needs from_date and to_date, or offsets, and not both.")
    if offsets and OFFSETS.fullmatch(str(offsets)) is None:
        raise refusal(f"offsets {offsets} must be PARTITION:FROM-TO[,...], as in 0:1200-1300.")
    return ["--offsets", str(offsets)] if offsets else days


def range_of_days(params: Mapping[str, Any]) -> list[str]:
    """Return --from and --to of a form, or nothing.

    Raises:
        AirflowFailException: one end only, no dates, or ends the wrong way round.
    """
    first, last = params.get("from_date"), params.get("to_date")
    if not first and not last:
        return []
    if not first or not last:
        raise refusal(f"from_date is {first or 'empty'} and to_date is {last or 'empty'}: a range needs both.")
    try:
        ends = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise refusal(f"from_date {first} and to_date {last} must be days as in 2026-03-31.") from None
    if ends[0] > ends[1]:
        raise refusal(f"from_date {first} is after to_date {last}.")
    return ["--from", ends[0].isoformat(), "--to", ends[1].isoformat()]


def refusal(why: str) -> AirflowFailException:
    """Return the error of a wrong form: nothing was done, and trying again would not help."""
    return AirflowFailException(
        f"{why}\nLeft as it is: nothing was read or built. Next: trigger again with other values."
    )
