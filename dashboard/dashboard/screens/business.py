"""The Business page: what the payments earn, how many fail, how long they take."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

import streamlit as st

from dashboard import charts, questions
from dashboard.database import Row, UnreadableError
from dashboard.figures import WEEK, Figures, change, figures, ratio, with_moving_averages
from dashboard.filters import choose
from dashboard.meanings import meaning
from dashboard.shell import REFRESH_EVERY, ask, download, header, surviving
from dashboard.view import FACT, MOST_FACT_DAYS, Source, View, source_for
from dashboard.words import amount, duration, money, share, signed_share

NOTHING_CHOSEN = (
    "No payment matches these filters. Choose more days, another currency, or take a filter away: "
    "the filters stand in the address and above."
)
Kpi = tuple[str, str, Decimal | int | None, Decimal | int | None, Literal["normal", "inverse"], str]
LAGS = (
    ("immediate", "immediate_count"),
    ("under 1 hour", "under_1_hour_count"),
    ("under 1 day", "under_1_day_count"),
    ("under 3 days", "under_3_days_count"),
    ("3 days or more", "from_3_days_count"),
    ("not yet", "pending_count"),
)


@st.fragment(run_every=REFRESH_EVERY)
def show() -> None:
    """Write the page; again by itself when its answers are ten minutes old."""
    with surviving():
        state = header("Business", "Fees, volume and failures of one currency, read from the marts.")
        view = choose(state) if state else None
        if view is not None:
            _page(view, state)


def _source(view: View, *wanted: str) -> Source:
    """Return the table that answers, or refuse what only the fact could answer over too many days."""
    source = source_for(view, *wanted)
    if source is FACT and 2 * view.days > MOST_FACT_DAYS:
        raise UnreadableError(
            "No summary of the marts knows this combination of filters, and payments are read one by one for at most "
            f"{MOST_FACT_DAYS // 2} days; {view.days} are chosen.",
            "Choose fewer days, or take away a filter.",
        )
    return source


def _page(view: View, state: str) -> None:
    source = _source(view, "delay")
    before = view.before()
    earliest = min(before[0], view.first_day - timedelta(days=WEEK - 1))
    days = ask(*questions.by_day(view, source, earliest), state=state)
    now = figures(days, view.first_day, view.last_day)
    if not now.count:
        st.info(NOTHING_CHOSEN, icon=":material/info:")
        return
    _kpis(view, now, figures(days, *before), ask(questions.DAYS, state=state)[0]["first_day"])
    trends = with_moving_averages(days, view.first_day, view.last_day)
    left, right = st.columns(2)
    with left, surviving():
        _revenue(view, trends)
    with right, surviving():
        _failures(trends)
    with surviving():
        _groups(view, ask(*questions.by_groups(view, source), state=state))
    left, right = st.columns(2)
    with left:
        _lags([row for row in days if row["occurred_on"] >= view.first_day])
    with right, _section("Top merchants", "success_amount"), surviving():
        _merchants(view, ask(*questions.by_merchant(view, _source(view, "merchant_name")), state=state))
    with _section("Hours and weekdays", "hour_of_day", "attempt_count"), surviving():
        _hours(ask(*questions.by_hour(view, _source(view, "hour_of_day")), state=state))


def _section(title: str, *defined: str) -> Any:
    box = st.container(border=True)
    box.subheader(title, anchor=False)
    box.caption(meaning(*defined))
    return box


def _kpis(view: View, now: Figures, then: Figures, oldest: date) -> None:
    columns = [*st.columns(3), *st.columns(3)]
    for column, (label, text, value, earlier, color, defined) in zip(columns, _shown(view, now, then), strict=True):
        delta = signed_share(change(value, earlier))
        column.metric(
            label, text, delta or "nothing before to compare with", delta_color=color if delta else "off",
            delta_arrow="auto" if delta else "off", help=meaning(defined), border=True,
        )  # fmt: skip
    compared = f"the {view.days} days before" if view.days > 1 else "the day before"
    first, last = view.before()
    said = f"Change against {compared}: {first:%d %b %Y} to {last:%d %b %Y}."
    if first < oldest:
        said += f" The data begin on {oldest:%d %b %Y}, so that period is not whole."
    st.caption(said)


def _shown(view: View, now: Figures, then: Figures) -> Sequence[Kpi]:
    """Return label, text, value, the value before, which way is good, and the name of the definition."""

    def money_of(label: str, value: Decimal | None, before: Decimal | None, defined: str) -> Kpi:
        return f"{label}, {view.currency}", amount(value, view.currency), value, before, "normal", defined

    failing, waiting = now.failure_rate, now.processing_seconds
    return (
        money_of("Fee revenue", now.fee_revenue, then.fee_revenue, "fee_revenue_total"),
        money_of("Gross, successful only", now.gross, then.gross, "success_amount"),
        ("Payments", f"{now.count:,}", now.count, then.count, "normal", "attempt_count"),
        ("Failure rate", share(failing), failing, then.failure_rate, "inverse", "failure_rate"),
        money_of("Average ticket", now.average_ticket, then.average_ticket, "average_ticket"),
        ("Average processing time", duration(waiting), waiting, then.processing_seconds, "inverse", "delayed_seconds"),
    )


def _revenue(view: View, trends: Sequence[dict[str, Any]]) -> None:
    rows = [
        {"day": row["day"], "fee_revenue": row["fee_revenue"], "revenue_7_days": row["revenue_7_days"]}
        for row in trends
    ]
    with _section("Fee revenue a day", "fee_revenue_total"):

        def words(value: Any) -> str:
            return money(value, view.currency)

        frame = charts.table(rows, list(rows[0])[1:], {"fee_revenue": words, "revenue_7_days": words})
        st.altair_chart(charts.trend(frame, "fee_revenue", "revenue_7_days", view.currency, "~s"))
        download("fee-revenue-a-day", rows)


def _failures(trends: Sequence[dict[str, Any]]) -> None:
    rows = [
        {"day": row["day"], "failure_rate": row["failure_rate"], "failure_rate_7_days": row["failure_rate_7_days"]}
        for row in trends
    ]
    with _section("Failure rate a day", "failure_rate"):
        frame = charts.table(rows, list(rows[0])[1:], {"failure_rate": share, "failure_rate_7_days": share})
        st.altair_chart(charts.trend(frame, "failure_rate", "failure_rate_7_days", "failed of settled", ".1%"))
        download("failure-rate-a-day", rows)


def _groups(view: View, rows: Sequence[Row]) -> None:
    def of(grouped: str) -> list[Row]:
        return [row for row in rows if row["grouped"] == grouped]

    left, right = st.columns(2)
    with left:
        _ranking(view, "Fee revenue by channel", "payment_channel", of("payment_channel"))
        _delays(of("payment_channel"))
        _ranking(view, "Fee revenue by region", "region", of("region"))
    with right:
        _ranking(view, "Fee revenue by category", "transaction__merchant_category", of("merchant_category"))


def _ranking(view: View, title: str, defined: str, found: Sequence[Row]) -> None:
    rows = [{"name": row["name"], "fee_revenue": row["fee_revenue"], "gross": row["success_amount"]} for row in found]
    with _section(title, defined):
        frame = charts.table(rows, ["fee_revenue"], {"fee_revenue": lambda value: money(value, view.currency)})
        st.altair_chart(charts.ranking(frame, "name", "fee_revenue", f"fee revenue, {view.currency}"))
        download(title.lower().replace(" ", "-"), rows)


def _delays(found: Sequence[Row]) -> None:
    rows = [
        {"name": row["name"], "seconds": average, "payments": row["delayed_count"]}
        for row in found
        if (average := ratio(row["delayed_seconds"], row["delayed_count"])) is not None
    ]
    with _section("Processing delay by channel", "delayed_seconds"):
        if not rows:
            st.info(
                "No chosen payment was pending and has settled since, so there is no delay to show. Choose more days."
            )
            return
        drawn = [row | {"hours": row["seconds"] / 3600} for row in rows]
        frame = charts.table(drawn, ["seconds", "hours"], {"hours": lambda value: duration(value * 3600)})
        st.altair_chart(charts.ranking(frame, "name", "hours", "average hours to settle"))
        download("processing-delay-by-channel", rows)


def _lags(days: Sequence[Row]) -> None:
    rows = [{"settled": label, "payments": sum(row[name] for row in days)} for label, name in LAGS]
    settled = sum(row["success_count"] + row["failed_count"] + row["pending_count"] for row in days)
    if backwards := settled - sum(row["payments"] for row in rows):
        rows.append({"settled": "older than pending", "payments": backwards})
    with _section("Settlement lag", "settlement_delay_bucket"):
        frame = charts.table(rows, ["payments"], {"payments": "{:,}".format})
        st.altair_chart(charts.columns(frame, "settled", "payments", "payments"))
        download("settlement-lag", rows)


def _merchants(view: View, found: Sequence[Row]) -> None:
    rows = [
        {
            "merchant": f"{row['merchant_name']} ({row['merchant_category']})",
            "gross": row["success_amount"],
            "payments": row["success_count"],
        }
        for row in found
    ]
    frame = charts.table(rows, ["gross"], {"gross": lambda value: money(value, view.currency)})
    st.altair_chart(charts.ranking(frame, "merchant", "gross", f"gross, {view.currency}"))
    download("top-merchants", rows)


def _hours(found: Sequence[Row]) -> None:
    rows = [
        {
            "weekday": row["weekday"],
            "hour_of_day": row["hour_of_day"],
            "payments": row["success_count"] + row["failed_count"] + row["pending_count"],
        }
        for row in found
    ]
    frame = charts.table(
        rows, ["payments"], {"payments": "{:,}".format, "weekday": lambda number: charts.WEEKDAYS[number - 1]}
    )
    st.altair_chart(charts.heat_map(frame, "payments", "payments"))
    download("hours-and-weekdays", rows)
