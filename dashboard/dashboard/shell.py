"""What every page shares: the database, what it answered, the age of the data, sections that survive."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import streamlit as st
from psycopg import sql

from core.csv_text import CsvWriter
from core.settings import Settings, load_settings
from dashboard.connections import reader_dsn
from dashboard.database import Database, Row, UnreadableError
from dashboard.questions import AGE
from dashboard.words import duration

REFRESH_EVERY = timedelta(minutes=10)
KEPT_ANSWERS = 500
# Visitors of the flow share its answers; each is older than the time between two looks of one visitor.
FLOW_ANSWERS_LAST = timedelta(seconds=0.8)


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """Return the settings, read once a process."""
    return load_settings()


@st.cache_resource(show_spinner=False)
def database() -> Database:
    """Return the one connection of this process."""
    return Database(reader_dsn(settings()))


@st.cache_data(ttl=REFRESH_EVERY, max_entries=KEPT_ANSWERS, show_spinner=False)
def _answer(query: str, values: Mapping[str, Any], state: str) -> list[Row]:
    del state  # part of the key: another state of the marts is another answer
    return database().rows(query, values)


def ask(query: sql.Composed | str, values: Mapping[str, Any] | None = None, state: str = "") -> list[Row]:
    """Return the rows of a question; the same question at the same state of the marts is asked once in ten minutes.

    Raises:
        UnreadableError: there is no answer, for a reason that can be shown.
    """
    text = query if isinstance(query, str) else query.as_string()
    return _answer(text, dict(values or {}), state)


@st.cache_resource(show_spinner=False)
def flow_database() -> Database:
    """Return a connection of its own for the flow: a long question of another page does not hold it up."""
    return Database(reader_dsn(settings()))


@st.cache_data(ttl=FLOW_ANSWERS_LAST, max_entries=KEPT_ANSWERS, show_spinner=False)
def ask_flow(query: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    """Return the rows of a question about this second.

    Raises:
        UnreadableError: there is no answer, for a reason that can be shown.
    """
    return flow_database().rows(query, values)


@contextmanager
def surviving() -> Iterator[None]:
    """Show in place of what cannot be read why, and what to do; the rest of the page goes on."""
    try:
        yield
    except UnreadableError as error:
        st.warning(f"{error.what} {error.next}", icon=":material/info:")


def download(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Offer rows as a CSV file, with every digit."""
    text = io.StringIO(newline="")
    names = list(rows[0]) if rows else []
    writer = CsvWriter(text)
    writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in rows)
    st.download_button(
        "CSV",
        text.getvalue().encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"csv-{name}",
        icon=":material/download:",
        help=f"These {len(rows)} rows as a file",
        on_click="ignore",
        type="tertiary",
    )


def title(name: str, line: str) -> None:
    """Write a page's title, one line on it, and the button that reads anew."""
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.title(name, anchor=False)
    if right.button("Refresh", icon=":material/refresh:", help="Read everything anew now", width="stretch"):
        st.cache_data.clear()
    st.caption(line)


def header(name: str, line: str) -> str:
    """Write a page's title and the age of its data; return the state of the marts.

    Raises:
        UnreadableError: the age cannot be read, and so nothing else either.
    """
    title(name, line)
    newest = database().rows(AGE)
    if not newest:
        st.error(
            "No payments are in the marts yet. Run ./scripts/start.sh, or ./scripts/tieout run.",
            icon=":material/error:",
        )
        return ""
    age = newest[0]["age_seconds"]
    said = f"Data age **{duration(age)}**: the newest load in these marts is number {newest[0]['load_id']}"
    said += f", loaded {newest[0]['loaded_at']:%d %b %Y %H:%M} UTC."
    if age > settings().dashboard_stale_after_seconds:
        limit = duration(settings().dashboard_stale_after_seconds)
        st.error(f"{said} That is stale (over {limit}). Look: ./scripts/status.sh", icon=":material/schedule:")
    else:
        st.caption(f":material/schedule: {said} Read anew every {REFRESH_EVERY.seconds // 60} minutes.")
    return str(newest[0]["state"])
