"""The Live page: the flow this second, as `tieout live` reads it from Kafka."""

import time
from collections.abc import Sequence
from decimal import Decimal

import pandas as pd
import streamlit as st

from dashboard import live_questions as questions
from dashboard.alerts_shown import brief
from dashboard.blocks import grid, section
from dashboard.database import Row
from dashboard.figures import ratio
from dashboard.shell import ask_flow, surviving, title
from dashboard.words import amount, duration, share

EVERY_SECONDS, SLOW_SECONDS = 1, 10
QUICK_FOR_SECONDS = 15 * 60
SILENT_SECONDS = 15
SIGNS = {"SUCCESS": "✔ SUCCESS", "PENDING": "… PENDING", "FAILED": "✘ FAILED"}
NOT_RUNNING = "live is not running: no event was counted yet. Run ./scripts/start.sh, then ./scripts/status.sh."


def show() -> None:
    """Write the page; its flow writes itself anew each second, each ten seconds when nobody has touched it for long."""
    title("Live", "The flow this second, read from Kafka before the lake and the marts see it.")
    slow = st.session_state.pop("live_slow", False)
    if not slow:
        st.session_state["live_since"] = time.monotonic()
    left, right = st.columns([1, 1], vertical_alignment="bottom")
    follows = right.toggle("Follow", value=True, key="follow", help="Off: the page stands still, to be read or copied.")
    every = SLOW_SECONDS if slow else EVERY_SECONDS
    if slow:
        st.caption(
            f"Nobody has touched this page for a while, so it looks every {every} seconds. Refresh: each second."
        )
    with surviving():
        with left:
            currency = _currency()
        st.fragment(run_every=every if follows else None)(_flow)(currency, slow)


def _currency() -> str | None:
    found = [row["currency"] for row in ask_flow(questions.TOTALS)]
    if not found:
        return None
    chosen: str | None = st.segmented_control(
        "Currency of the totals", found, default=found[0], key="currency", bind="query-params", required=True
    )
    return chosen


def _flow(currency: str | None, slow: bool) -> None:
    if not slow and time.monotonic() - st.session_state.get("live_since", 0) > QUICK_FOR_SECONDS:
        st.session_state["live_slow"] = True
        st.rerun()
    with surviving():
        state = ask_flow(questions.STATE)
        if not state or state[0]["moved_at"] is None:
            st.info(NOT_RUNNING, icon=":material/info:")
            return
        _silence(state[0])
        _set_aside()
        _pace()
        _drift()
        totals = ask_flow(questions.TOTALS)
        if currency is None and totals:
            # The first payment came after the page: its currency is among the choices from now on.
            st.rerun()
        if currency is not None:
            _totals(totals)
            _spending(currency)
        _last()
        _alerts()


def _silence(state: Row) -> None:
    silent = state["silent_seconds"]
    at = f"The last event was counted {state['moved_at']:%H:%M:%S} UTC, {duration(max(silent, 0))} ago"
    began = f"the totals began {'with the marts' if state['source'] == 'GOLD' else 'at the beginning of the topic'}"
    if silent > SILENT_SECONDS:
        st.error(
            f"{at}. Either nobody produces (./scripts/tieout logs producer), or live is not running "
            "(./scripts/status.sh, then ./scripts/start.sh).",
            icon=":material/pause_circle:",
        )
    else:
        st.caption(f":material/sensors: {at}; {began} on {state['opened_at']:%d %b %Y %H:%M} UTC.")


def _set_aside() -> None:
    found = ask_flow(questions.SET_ASIDE)
    if not found or not found[0]["not_counted"] + found[0]["not_judged"]:
        return
    aside = found[0]
    st.warning(
        f"{aside['not_counted']:,} events are not counted, and {aside['not_judged']:,} are counted but not judged by "
        f"the alert rules: live could not handle them. The newest arrived {aside['newest']:%d %b %Y %H:%M:%S} UTC. "
        "Run ./scripts/tieout logs live.",
        icon=":material/report:",
    )


def _pace() -> None:
    seconds = ask_flow(questions.PACE)
    minute = ask_flow(questions.MINUTE)
    lately = seconds[-10:]
    good = sum(row["success_count"] or 0 for row in minute)
    bad = sum(row["failed_count"] or 0 for row in minute)
    slowest = max((row["longest_delay_ms"] for row in seconds), default=0)
    with st.grid(4):
        st.metric(
            "Events a second", f"{sum(row['events'] for row in lately) / max(len(lately), 1):,.1f}",
            border=True, height="stretch",
            chart_data=[row["events"] for row in seconds], help="Average of the last ten seconds; the line: a minute.",
        )  # fmt: skip
        st.metric(
            "Success rate, last minute", share(ratio(good, good + bad)), f"{good + bad:,} settled", delta_color="off",
            delta_arrow="off", border=True, height="stretch",
            help="SUCCESS among what has become SUCCESS or FAILED in 60 seconds.",
        )  # fmt: skip
        st.metric(
            "Longest delay, last minute", f"{slowest:,} ms", border=True, height="stretch",
            help="From an event's arrival in Kafka to the commit that makes it visible here.",
        )  # fmt: skip
        _drift_metric()


def _drift_metric() -> None:
    found = ask_flow(questions.CHECK)
    verdict = found[0]["verdict"] if found else ""
    drift = sum(abs(row["drift_count"] or 0) for row in found)
    different = f"{drift:,} payments" if drift else "amounts"
    text = {"OK": "0", "DIFFERENT": different}.get(verdict, "not judged")
    said = f"compared {found[0]['checked_at']:%H:%M:%S} UTC" if found else "no build was compared yet"
    st.metric(
        "Drift against gold", text, said, delta_color="inverse" if verdict == "DIFFERENT" else "off",
        delta_arrow="off", border=True, height="stretch",
        help="The running totals less what came after a build, against its marts.",
    )  # fmt: skip


def _drift() -> None:
    found = ask_flow(questions.CHECK)
    if not found:
        return
    if found[0]["verdict"] == "UNCHECKED":
        # The reason may quote what an event said: text, never markup.
        st.text(f"The newest build was not compared: {found[0]['why']}")
    off = [row for row in found if row["drift_count"] or Decimal(row["drift_amount"] or 0)]
    if off or found[0]["verdict"] == "DIFFERENT":
        st.error(
            "The running totals and the marts differ, and must not. Run ./scripts/tieout live --check, "
            "then ./scripts/tieout logs live.",
            icon=":material/error:",
        )
        grid(
            "drift", off, file=False,
            currency="currency", status="status", live_count="live", gold_count="gold", drift_count="drift",
            live_amount="live amount", gold_amount="gold amount", drift_amount="drift in amount",
        )  # fmt: skip


def _totals(totals: Sequence[Row]) -> None:
    minute = {row["currency"]: row for row in ask_flow(questions.MINUTE)}
    lines = []
    for row in totals:
        lately = minute.get(row["currency"], {"amount": "0"})["amount"]
        lines.append(row | {"minute_amount": lately})
    with section(
        "Amounts by currency", "Running totals of successful payments, and what succeeded in the last minute."
    ):
        grid(
            "live-totals", lines, file=False,
            currency="currency", minute_amount="last minute", amount="successful in all", success_count="successful",
            failed_count="failed", pending_count="pending", pending_amount="pending amount",
        )  # fmt: skip


def _spending(currency: str) -> None:
    rows = ask_flow(questions.SPENDING, {"currency": currency})
    for box, (grouped, name) in zip(
        st.columns(2), (("merchant_category", "category"), ("payment_channel", "channel")), strict=True
    ):
        found = [row for row in rows if row["grouped"] == grouped]
        with box, section(f"Spending by {name}, {currency}", "Successful payments, running total."):
            if found:
                _bars(name, found, currency)
            else:
                st.info("Nothing has succeeded yet.", icon=":material/info:")


def _bars(name: str, rows: Sequence[Row], currency: str) -> None:
    whole = sum(Decimal(row["amount"]) for row in rows)
    parts = [ratio(Decimal(row["amount"]), whole) for row in rows]
    shown = [
        {
            name: row["name"],
            "amount": amount(Decimal(row["amount"]), currency),
            "share": float(part or 0),
            "payments": row["payments"],
        }
        for row, part in zip(rows, parts, strict=True)
    ]
    columns = {
        "share": st.column_config.ProgressColumn("share", format="percent", min_value=0, max_value=1),
        "amount": st.column_config.TextColumn("amount", alignment="right"),
    }
    st.dataframe(
        pd.DataFrame(shown), column_config=columns, hide_index=True, height=min(38 + 35 * len(shown), 400),
        alt=f"Running totals by {name}",
    )  # fmt: skip


def _last() -> None:
    with section("Last payments", "As they arrive, newest first; times are UTC."):
        rows = [row | {"said": SIGNS[row["status"]]} for row in ask_flow(questions.LAST)]
        grid(
            "last-payments", rows, most_height=740, file=False,
            arrived_at="arrived", said="status", amount="amount", currency="currency", merchant_name="merchant",
            merchant_category="category", payment_channel="channel", city="city", customer_id="customer",
        )  # fmt: skip


def _alerts() -> None:
    with section("Newest alerts", "Each with its evidence on the page Alerts."):
        rows = ask_flow(questions.ALERTS, {"rules": [], "most": 5})
        if not rows:
            st.success("No alert yet.", icon=":material/check_circle:")
            return
        grid(
            "newest-alerts", [row | {"said": brief(row["evidence"])} for row in rows], file=False,
            arrived_at="arrived", rule_code="rule", amount="amount", currency="currency", customer_id="customer",
            said="evidence",
        )  # fmt: skip
