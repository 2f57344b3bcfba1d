"""The Connect page: how other tools read the marts, and what the marts mean."""

import streamlit as st

from dashboard.blocks import grid, section
from dashboard.catalogue import Mart, marts
from dashboard.connections import details, lines
from dashboard.shell import header, settings, surviving

PASSWORD = "grep POSTGRES_PASSWORD_READER .env"  # noqa: S105 - the command that finds it
LIMITS = (
    "The role **reader** reads the schemas `marts`, `metadata` and `live` and can write nothing. It sees neither the "
    "lake nor `raw`, and the marts hold no name, no e-mail address and no IP address. "
    "Amounts of two currencies are never added: group by `currency`."
)


def show() -> None:
    """Write the page."""
    with surviving():
        header("Connect", "Attach a BI tool, a notebook or a spreadsheet to the same marts, read-only.")
    _details()
    _lines()
    _password()
    _meanings()


def _details() -> None:
    with section("Connection", "What the form of a tool asks for; each with a button to copy it."):
        for column, (label, text) in zip(st.columns(4), details(settings()).items(), strict=True):
            column.caption(label)
            column.code(text, language=None)
        st.markdown(LIMITS)


def _lines() -> None:
    with section("Lines to paste", "The password is in none of them."):
        found = list(lines(settings()))
        for tab, line in zip(st.tabs([line.title for line in found]), found, strict=True):
            with tab:
                st.code(line.text, language=None if line.language == "text" else line.language, wrap_lines=True)
                st.caption(line.hint)


def _password() -> None:
    with section("Password", "In the platform's own folder, on the machine it runs on:"):
        st.code(PASSWORD, language="bash")
        known = settings().postgres_password_reader
        if known is None:
            return
        # Not kept: the next thing that is clicked or opened takes it off the page again.
        if st.button("Show the password here", icon=":material/visibility:"):
            st.code(known.get_secret_value(), language=None)
            st.caption("It goes with the next click, and is never in the address.")


def _meanings() -> None:
    found = {mart.name: mart for mart in marts()}
    with section("What the marts mean", f"{len(found)} tables and views, as the dbt project describes them."):
        name = st.selectbox("Mart", list(found), key="mart", bind="query-params")
        _mart(found[name or next(iter(found))])


def _mart(mart: Mart) -> None:
    st.markdown(mart.meaning)
    st.code(mart.example, language="sql")
    columns = [{"column": column.name, "type": column.data_type, "meaning": column.meaning} for column in mart.columns]
    grid(f"columns-of-{mart.name}", columns, most_height=700, column="column", type="type", meaning="meaning")
