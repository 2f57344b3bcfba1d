"""The Alerts page: what rules and patterns have found, with the evidence and the command that computes it again."""

from decimal import Decimal
from urllib.parse import quote

import streamlit as st

from dashboard import live_questions as questions
from dashboard import pattern_questions
from dashboard.alerts_shown import brief, command, evidence
from dashboard.blocks import grid, section
from dashboard.database import Row
from dashboard.shell import ask_flow, surviving, title
from dashboard.words import money, others_text

EVERY_SECONDS = 10
MOST = 200
NO_RULES = "live is not running: its rules are not known here yet. Run ./scripts/start.sh, then ./scripts/status.sh."


@st.fragment(run_every=EVERY_SECONDS)
def show() -> None:
    """Write the page; again by itself every ten seconds."""
    title("Alerts", "Payments that a rule has marked, newest first, each with what it was judged by.")
    with surviving():
        _alerts()
    with surviving():
        _detections()


def _alerts() -> None:
    rules = ask_flow(questions.ALERTS_BY_RULE)
    if not rules:
        st.info(NO_RULES, icon=":material/info:")
        return
    chosen = _rules(rules)
    found = ask_flow(questions.ALERTS, {"rules": chosen, "most": MOST})
    if not found:
        st.success("No alert of these rules." if chosen else "No alert yet.", icon=":material/check_circle:")
        return
    _all(found)
    _one(found)


def _detections() -> None:
    """Write what patterns in chunks have found; nothing where nobody looks for any."""
    for finding in ask_flow(pattern_questions.FINDINGS):
        st.warning(others_text(f"{finding['watch']}: {finding['says']}"), icon=":material/warning:")
    counted = ask_flow(pattern_questions.BY_PATTERN)
    if not counted:
        return
    with section("Patterns in chunks", "Detections of each watch, and how many of them are still true."):
        grid(
            "patterns", counted,
            watch="watch", pattern="pattern", action="action", detections="detections", still_true="still true",
            newest="newest, UTC",
        )  # fmt: skip
    with section("Detections", f"The newest {MOST}."):
        found = [
            row | {"command": f"./scripts/tieout patterns explain {row['detection_id']}"}
            for row in ask_flow(pattern_questions.DETECTIONS, {"most": MOST})
        ]
        grid(
            "detections", found, most_height=460,
            detected_at="detected, UTC", watch="watch", pattern="pattern", action="action", merchant="merchant",
            customer="customer", chunk="chunk", still_true="still true", evidence="evidence", command="compute again",
        )  # fmt: skip


def _rules(rules: list[Row]) -> list[str]:
    with section("Rules", "How often each has raised an alert; thresholds stand beside the contract."):
        grid(
            "alert-rules", rules,
            rule_code="rule", meaning="raises an alert when", alerts="alerts", last_hour="last hour",
            newest="newest, UTC", thresholds="thresholds",
        )  # fmt: skip
    codes = [row["rule_code"] for row in rules]
    return st.multiselect("Rule", codes, key="rule", bind="query-params", placeholder="all")


def _one(found: list[Row]) -> None:
    with section("Evidence", "Why one of them was raised, and how to compute it again."):
        by_id = {row["alert_id"]: row for row in found}
        wanted = st.query_params.get("alert")
        if wanted and wanted not in by_id:
            by_id |= {row["alert_id"]: row for row in ask_flow(questions.ALERT, {"alert": wanted, "most": 1})}
        # The address has what stands in the list: the id alone, so that a link can be made of it.
        name = st.selectbox("Alert", list(by_id), key="alert", bind="query-params", help="The newest first.")
        row = by_id[name]
        left, right = st.columns([1, 1])
        with left:
            facts = {
                "rule": row["rule_code"],
                "amount": money(Decimal(row["amount"]), row["currency"]),
                "status": row["status"],
                "merchant": f"{row['merchant_name']} ({row['merchant_category']})",
                "customer": row["customer_id"],
                "payment": row["transaction_id"],
                "made, UTC": f"{row['occurred_at']:%Y-%m-%d %H:%M:%S}",
                "event": f"partition {row['partition']}, offset {row['offset']}",
            }
            grid(
                "alert",
                [{"name": key, "value": value} for key, value in facts.items()],
                file=False,
                name="of",
                value="is",
            )
        with right:
            grid("evidence", evidence(row["evidence"]), file=False, kind="evidence", name="of", value="is")
        st.code(command(row), language="bash")
        st.link_button(
            "This customer's payments",
            "customer?customer=" + quote(row["customer_id"], safe=""),
            icon=":material/person_search:",
        )


def _all(found: list[Row]) -> None:
    with section("Alerts", f"The newest {MOST}, as chosen above."):
        lines = [row | {"said": brief(row["evidence"]), "command": command(row)} for row in found]
        grid(
            "alerts", lines, most_height=460,
            arrived_at="arrived, UTC", rule_code="rule", amount="amount", currency="currency", status="status",
            customer_id="customer", merchant_name="merchant", merchant_category="category", city="city",
            said="evidence", command="compute again",
        )  # fmt: skip
