"""Sections and tables, the same on every page."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.database import Row
from dashboard.shell import download
from dashboard.words import amount, others_text

ROW_HEIGHT = 35
MOST_HEIGHT = 400
NAMES = ("load_id", "try_number")


def section(title: str, line: str) -> Any:
    """Open a box with a title and one line on what stands in it."""
    box = st.container(border=True)
    box.subheader(title, anchor=False)
    box.caption(line)
    return box


def grid(
    title: str, rows: Sequence[Row], /, *, most_height: int = MOST_HEIGHT, file: bool = True, **columns: str
) -> None:
    """Show the named columns under their titles; times to the second, what is empty as nothing. All of it as a file."""
    shown = {title: same_kind([said(row, column) for row in rows]) for column, title in columns.items()}
    height = min(3 + ROW_HEIGHT * (max(len(rows), 1) + 1), most_height)
    st.dataframe(
        pd.DataFrame(shown, dtype=object),  # numbers stay whole where one is missing
        placeholder="",
        hide_index=True,
        width="stretch",
        height=height,
        alt=title,
        column_config=_looks(rows, columns),
    )
    if file:
        download(title, rows)


def _looks(rows: Sequence[Row], columns: dict[str, str]) -> dict[str, Any]:
    """Amounts stand right, as numbers do; counts have separators, numbers that are names have none."""
    looks: dict[str, Any] = {}
    for column, title in columns.items():
        if "amount" in column:
            looks[title] = st.column_config.TextColumn(alignment="right")
        elif column not in NAMES and any(isinstance(row[column], int) for row in rows):
            looks[title] = st.column_config.NumberColumn(format="localized")
    return looks


def said(row: Row, column: str) -> Any:
    """Return a value as people read it: amounts with the digits of their currency, times without a zone.

    Any other text may be somebody's: what is invisible in it is shown, and no cell is a formula where it is pasted.
    """
    value = row[column]
    if value is not None and "amount" in column and row["currency"]:
        return amount(Decimal(value), row["currency"])
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return value if value is None or isinstance(value, int) else others_text(value)


def same_kind(values: Sequence[Any]) -> list[Any]:
    """Return a column's values, all as text unless all are numbers that the browser's table can hold.

    Of a column with values of two kinds, Streamlit writes a traceback into its log at each look.
    """
    if all(value is None or (isinstance(value, int) and abs(value) < 2**63) for value in values):
        return list(values)
    return [None if value is None else str(value) for value in values]
