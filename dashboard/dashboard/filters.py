"""The filters of the Business page. Each is bound to the address, so that a view can be sent and survives a reload."""

from collections.abc import Sequence
from datetime import date, timedelta

import streamlit as st

from core.text import shown
from dashboard import questions
from dashboard.shell import ask
from dashboard.view import View
from dashboard.words import place

DEFAULT_DAYS = 30
NO_PAYMENTS = "The marts hold no payments yet: nothing to choose from. Run ./scripts/start.sh, or ./scripts/tieout run."


def choose(state: str) -> View | None:
    """Show the filters and return what is chosen; None when there is nothing to choose from.

    Raises:
        UnreadableError: the marts cannot be read.
    """
    days = ask(questions.DAYS, state=state)[0]
    currencies = [row["currency"] for row in ask(questions.CURRENCIES, state=state)]
    if days["last_day"] is None or not currencies:
        st.info(NO_PAYMENTS, icon=":material/info:")
        return None
    with st.container(border=True):
        first, second, third, fourth, fifth = st.columns([1.7, 1, 1.4, 1.7, 1.5])
        with first:
            first_day, last_day = _days(days["first_day"], days["last_day"])
        currency = second.selectbox(
            "Currency",
            currencies,
            key="currency",
            bind="query-params",
            help="Amounts of two currencies are never added.",
        )
        channels = third.multiselect(
            "Channel",
            _names(questions.CHANNELS, state),
            key="channel",
            bind="query-params",
            placeholder="all",
            format_func=shown,
        )
        categories = fourth.multiselect(
            "Category",
            _names(questions.CATEGORIES, state),
            key="category",
            bind="query-params",
            placeholder="all",
            format_func=shown,
        )
        segments = fifth.multiselect(
            "Customer segment",
            questions.SEGMENTS,
            key="segment",
            bind="query-params",
            placeholder="all",
            help="What the customer is today, not at the time of the payment.",
        )
        regions, states, cities = _places(state)
    return View(
        first_day,
        last_day,
        currency or currencies[0],
        tuple(channels),
        tuple(categories),
        tuple(segments),
        regions,
        states,
        cities,
    )


def _names(question: str, state: str) -> list[str]:
    return [row["name"] for row in ask(question, state=state)]


def _days(oldest: date, newest: date) -> tuple[date, date]:
    begin = max(oldest, newest - timedelta(days=DEFAULT_DAYS - 1))
    left, right = st.columns(2)
    first = left.date_input("From", value=begin, min_value=oldest, max_value=newest, key="from", bind="query-params")
    last = right.date_input("To", value=newest, min_value=oldest, max_value=newest, key="to", bind="query-params")
    return (first, last) if first <= last else (last, first)


def _places(state: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """Regions narrow the states to choose from, and states the cities; what no longer fits is not chosen any more."""
    rows = ask(questions.PLACES, state=state)
    first, second, third = st.columns(3)
    regions = first.multiselect(
        "Region",
        sorted({row["region"] for row in rows}),
        key="region",
        bind="query-params",
        placeholder="all",
        format_func=shown,
    )
    within = [row for row in rows if not regions or row["region"] in regions]
    states = _narrowed(second, "State", "state", [(row["country"], row["state"]) for row in within])
    inside = [row for row in within if not states or (row["country"], row["state"]) in states]
    cities = _narrowed(third, "City", "city", [(row["country"], row["state"], row["city"]) for row in inside])
    return tuple(regions), states, cities


def _narrowed(
    where: "st.delta_generator.DeltaGenerator", label: str, key: str, places: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    by_name = {place(each): each for each in sorted(set(places))}
    if key in st.session_state:
        st.session_state[key] = [name for name in st.session_state[key] if name in by_name]
    chosen = where.multiselect(
        label, sorted(by_name), key=key, bind="query-params", placeholder="all", format_func=shown
    )
    return tuple(by_name[name] for name in chosen)
