"""Charts in Altair: one palette that colour-blind people can tell apart, in light and dark.

A chart draws with the browser's numbers, so the columns that it draws are floats; what is written in a tooltip or a
file is the exact text beside them.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import altair as alt
import pandas as pd

from dashboard.words import others_text

# Okabe and Ito: blue, vermillion, bluish green, orange, sky blue.
BLUE, RED, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
HEIGHT = 260
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def table(rows: Sequence[dict[str, Any]], drawn: Sequence[str], said: dict[str, Callable[[Any], str]]) -> pd.DataFrame:
    """Return rows to draw: positions as the browser's numbers, texts as people read them."""
    frame = pd.DataFrame(list(rows))
    for name, words in said.items():
        frame[f"{name}_said"] = [words(value) for value in (row[name] for row in rows)]
    for name in drawn:
        frame[name] = pd.to_numeric(frame[name])
    for name, value in (rows[0] if rows else {}).items():
        if isinstance(value, Decimal) and name not in drawn:
            frame[name] = frame[name].astype(str)
        elif isinstance(value, str):
            frame[name] = frame[name].map(others_text)
    return frame


def _finished(chart: Any, height: int = HEIGHT) -> Any:
    return chart.properties(height=height).configure_view(strokeWidth=0).configure_axis(labelLimit=150)


def trend(frame: pd.DataFrame, daily: str, average: str, title: str, form: str) -> Any:
    """Bars a day, and a line for the seven days up to it."""
    day = alt.X("day:T", title=None, axis=alt.Axis(format="%d %b", labelOverlap=True, tickCount=8, grid=False))
    tips = [alt.Tooltip("day:T", format="%a %d %b %Y", title="day")]
    tips += [
        alt.Tooltip(f"{daily}_said:N", title="that day"),
        alt.Tooltip(f"{average}_said:N", title="seven days up to it"),
    ]
    axis = alt.Axis(format=form, tickCount=5)
    base = alt.Chart(frame).encode(x=day, tooltip=tips)
    bars = base.mark_bar(color=SKY, opacity=0.7).encode(y=alt.Y(f"{daily}:Q", title=title, axis=axis))
    line = base.mark_line(color=RED, strokeWidth=2.5, point=len(frame) < 3).encode(y=alt.Y(f"{average}:Q", title=title))
    return _finished(bars + line)


def ranking(frame: pd.DataFrame, name: str, value: str, title: str, form: str = "~s") -> Any:
    """Horizontal bars, the longest first."""
    height = 30 * len(frame) + 70
    chart = (
        alt.Chart(frame)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(f"{value}:Q", title=title, axis=alt.Axis(format=form, tickCount=5)),
            y=alt.Y(f"{name}:N", title=None, sort="-x", axis=alt.Axis(labelOverlap=False)),
            tooltip=[alt.Tooltip(f"{name}:N", title=" "), alt.Tooltip(f"{value}_said:N", title=title)],
        )
    )
    return _finished(chart, height)


def columns(frame: pd.DataFrame, name: str, value: str, title: str) -> Any:
    """Bars in the order of the rows."""
    chart = (
        alt.Chart(frame)
        .mark_bar(color=GREEN)
        .encode(
            x=alt.X(f"{name}:N", title=None, sort=None, axis=alt.Axis(labelAngle=-30)),
            y=alt.Y(f"{value}:Q", title=title, axis=alt.Axis(format="~s", tickCount=5)),
            tooltip=[alt.Tooltip(f"{name}:N", title=" "), alt.Tooltip(f"{value}_said:N", title=title)],
        )
    )
    return _finished(chart)


def durations(frame: pd.DataFrame, name: str, value: str, title: str) -> Any:
    """Low bars in order, one each; what failed in another colour."""
    chart = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(f"{name}:O", title=None, axis=alt.Axis(labelOverlap=True, labelAngle=0)),
            y=alt.Y(f"{value}:Q", title=title, axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "status:N",
                scale=alt.Scale(domain=["SUCCESS", "FAILED", "RUNNING"], range=[BLUE, RED, ORANGE]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip(f"{name}:O", title="load"),
                alt.Tooltip(f"{value}_said:N", title="took"),
                alt.Tooltip("status:N", title="ended as"),
            ],
        )
    )
    return _finished(chart, 150)


def heat_map(frame: pd.DataFrame, value: str, title: str) -> Any:
    """Hours across, weekdays down."""
    chart = (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("hour_of_day:O", title="hour, where the payment was made", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("weekday_said:N", title=None, sort=list(WEEKDAYS), axis=alt.Axis(labelOverlap=False)),
            color=alt.Color(
                f"{value}:Q", title=title, scale=alt.Scale(scheme="viridis"), legend=alt.Legend(format="~s")
            ),
            tooltip=[
                alt.Tooltip("weekday_said:N", title="day"),
                alt.Tooltip("hour_of_day:O", title="hour"),
                alt.Tooltip(f"{value}_said:N", title=title),
            ],
        )
    )
    return _finished(chart)


def lines(frame: pd.DataFrame, value: str, title: str, series: str, at: str = "at") -> Any:
    """A line a series over time."""
    chart = (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X(f"{at}:T", title=None, axis=alt.Axis(labelOverlap=True, tickCount=8, grid=False)),
            y=alt.Y(f"{value}:Q", title=title, axis=alt.Axis(format="~s", tickCount=5)),
            color=alt.Color(
                f"{series}:N",
                title=None,
                scale=alt.Scale(scheme="tableau10"),
                legend=alt.Legend(orient="bottom", columns=2, labelLimit=240),
            ),
            tooltip=[alt.Tooltip(f"{at}:T", format="%d %b %H:%M"), f"{series}:N", f"{value}:Q"],
        )
    )
    return _finished(chart)
