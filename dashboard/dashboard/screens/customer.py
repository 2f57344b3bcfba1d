"""The Customer page: one customer's latest payments, found by id."""

import streamlit as st

from core.text import shown
from dashboard import customer_questions as questions
from dashboard import live_questions
from dashboard.blocks import grid, section
from dashboard.database import Row, UnreadableError
from dashboard.meanings import meaning
from dashboard.shell import REFRESH_EVERY, ask, ask_flow, header, surviving
from dashboard.words import place

LONGEST_ID = 64
MOST = (50, 200, 1000)
ASKED = "Paste a customer's id, from an alert, the Live page or `marts.fact_transactions`, or choose one of the newest."


@st.fragment(run_every=REFRESH_EVERY)
def show() -> None:
    """Write the page; again by itself when its answers are ten minutes old."""
    with surviving():
        state = header("Customer", "Their latest payments, newest first. The marts hold no name, e-mail or IP address.")
        if not state:
            return
        customer = _chosen(state)
        if customer:
            _page(customer, state)
        else:
            st.info(ASKED, icon=":material/person_search:")


def _chosen(state: str) -> str:
    newest = [row["customer_id"] for row in ask(questions.NEWEST, state=state)]
    left, right = st.columns([2, 1])
    typed = left.text_input(
        "Customer's id",
        key="customer",
        bind="query-params",
        max_chars=LONGEST_ID,
        help=meaning("transaction__customer_id"),
    )
    right.selectbox(
        "Or one of the newest",
        newest,
        index=None,
        key="newest",
        placeholder="choose",
        format_func=shown,
        on_change=_take_the_newest,
    )
    # Exactly what was typed: with a blank behind it, it is another customer's id.
    return typed or ""


def _take_the_newest() -> None:
    if st.session_state["newest"]:
        st.session_state["customer"] = st.session_state["newest"]


def _page(customer: str, state: str) -> None:
    about = ask(questions.ABOUT, {"customer": customer}, state)
    if about:
        _about(about[0])
    ahead = _ahead(customer)
    if not about:
        st.info(
            "No payment of this customer is in the marts"
            + (" yet." if ahead else ". Check the id, capitals and blanks too."),
            icon=":material/info:",
        )
        st.text(f"Asked for: {shown(customer)}")
        return
    _latest(customer, state)
    _lifetime(ask(questions.LIFETIME, {"customer": customer}, state))


def _ahead(customer: str) -> bool:
    """Show what has arrived and is not in the marts yet, where the flow is read at all; say whether there is any."""
    try:
        rows = ask_flow(live_questions.AHEAD, {"customer": customer})
    except UnreadableError:
        return False
    if rows:
        with section("On the way", "Arrived, and not in the marts yet: the next build brings them."):
            grid(
                "customer-ahead", rows,
                arrived_at="arrived", occurred_at="made", status="status", amount="amount", currency="currency",
                merchant_name="merchant", merchant_category="category", payment_method="method", city="city",
                transaction_id="payment",
            )  # fmt: skip
    return bool(rows)


def _about(row: Row) -> None:
    home = shown(place((row["home_country"], row["home_state"], row["home_city"])))
    with st.grid(4):
        st.metric("Payments", f"{row['transaction_count']:,}", border=True, help=meaning("transaction_count"))
        st.metric("Segment", row["segment"].replace("_", " ").lower(), border=True, help=meaning("segment"))
        st.metric("Failed", f"{row['failed_count']:,}", border=True, help=meaning("failed_count"))
        st.metric("Labelled as fraud", f"{row['fraud_count']:,}", border=True, help=meaning("fraud_count"))
    seen = f"First seen {row['first_seen_at']:%d %b %Y}, last {row['last_seen_at']:%d %b %Y %H:%M} UTC; mostly from"
    # What came in an event is shown as text, never as markup.
    st.text(f"{seen} {home}.")


def _lifetime(rows: list[Row]) -> None:
    with section("Lifetime value", meaning("lifetime_value")):
        lines = [row | {"fee_amount": row["fee_revenue"]} for row in rows]
        grid(
            "customer-lifetime", lines,
            currency="currency", transaction_count="payments", success_count="successful", amount="value",
            failed_count="failed", pending_count="pending", pending_amount="pending amount", fee_amount="fees earned",
        )  # fmt: skip


def _latest(customer: str, state: str) -> None:
    with section("Latest payments", "Newest first; times are UTC."):
        most = st.segmented_control("At most", MOST, default=MOST[0], key="most", required=True)
        rows = ask(questions.LATEST, {"customer": customer, "most": most}, state)
        grid(
            "customer-payments", rows, most_height=600,
            occurred_at="made", status="status", amount="amount", currency="currency", merchant_name="merchant",
            merchant_category="category", payment_method="method", city="city", state="state", country="country",
            device_type="device", failure_reason="why it failed", label="label", status_at="status since",
            transaction_id="payment",
        )  # fmt: skip
