"""The Books page: do the numbers tie out, what came in, what did not, and what to do about it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from contracts.model import PAYMENTS, is_named
from dashboard import books_questions as questions
from dashboard import charts
from dashboard.blocks import grid, section
from dashboard.database import Row, UnreadableError
from dashboard.shell import REFRESH_EVERY, ask, download, header, settings, surviving
from dashboard.words import duration

SIGNS = {
    "OK": "✔ OK",
    "OPEN": "… OPEN",
    "UNATTESTED": "? UNATTESTED",
    "VOID": "∅ VOID",
    "DIFFERENT": "✘ DIFFERENT",
}
VERDICTS = {
    "OK": "both sides are equal",
    "OPEN": "one side is not there yet; no difference",
    "UNATTESTED": "nobody outside has said what it should be",
    "VOID": "an operator has ended the feed; nothing is compared",
    "DIFFERENT": "count or amount is not equal",
}


def _entity(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the column that says whose rows these are, where not all are the payments'."""
    return {"entity": "entity"} if is_named(row["entity"] for row in rows) else {}


@st.fragment(run_every=REFRESH_EVERY)
def show() -> None:
    """Write the page; again by itself when its answers are ten minutes old."""
    with surviving():
        header("Books", "Whether every count and amount agrees, hop by hop, and what is left to do.")
    with section("Proof of the latest run", "Each line compares the two sides of one hop, per currency."), surviving():
        _proof()
    with section("Freshness of each hop", "When each step last left a trace, and how to look closer."), surviving():
        _hops()
    with (
        section(
            "Dead letters and rejected rows",
            "What is undecided, by reason; rows with several reasons stand under each.",
        ),
        surviving(),
    ):
        _letters()
    with (
        section(
            "Pending beyond the window",
            f"Payments that have not settled {questions.WINDOW_DAYS} days before the newest.",
        ),
        surviving(),
    ):
        _pending()
    with section("Loads", "The newest 200, from the lake to silver."), surviving():
        _loads()
    with section("Quality by rule", "Rows that broke a rule, load by load: the eight rules broken most."), surviving():
        _quality()
    with (
        section(
            "History of differences", "Lines that a proof has found DIFFERENT, newest first; older ones once a day."
        ),
        surviving(),
    ):
        _differences()
    with section("Incidents", "Tasks of the orchestrator that failed for good."), surviving():
        _incidents()


def _proof() -> None:
    rows = ask(questions.PROOF)
    if not rows:
        st.info("No proof has run yet. Run ./scripts/tieout proof.", icon=":material/info:")
        return
    found = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in SIGNS}
    st.markdown(
        f"Checked {rows[0]['checked_at']:%d %b %Y %H:%M} UTC: "
        + ", ".join(f"**{count} {verdict}** ({VERDICTS[verdict]})" for verdict, count in found.items() if count)
    )
    if found["DIFFERENT"]:
        st.error("The books do not tie out. Run ./scripts/tieout proof --explain.", icon=":material/error:")
    grid(
        "proof",
        [row | {"said": SIGNS[row["verdict"]]} for row in rows],
        said="verdict", **_entity(rows), equation="equation", currency="currency",
        left_count="left", right_count="right", left_amount="left amount", right_amount="right amount",
        difference_count="difference", difference_amount="difference in amount", scope="scope",
    )  # fmt: skip


def _hops() -> None:
    lines = []
    now = datetime.now(UTC)
    for hop, query, command in questions.HOPS:
        try:
            at = ask(query)[0]["at"]
            seconds = max(0, int((now - at).total_seconds())) if at else None
            age = "never" if seconds is None else duration(seconds)
        except UnreadableError as error:
            at, seconds, age = None, None, error.what
        said = _fresh(hop, seconds)
        lines.append({"hop": hop, "at": at, "age": age, "command": command, "said": said})
    grid("freshness", lines, hop="hop", said="is", age="age", at="last, UTC", command="look closer")
    with surviving():
        delay = ask(questions.DELAY)
        if delay:
            st.caption(
                f"In the newest build, half of {delay[0]['events']:,} events were in proven marts "
                f"{duration(delay[0]['delay_p50_seconds'])} after they arrived, "
                f"95 of 100 within {duration(delay[0]['delay_p95_seconds'])}."
            )


def _fresh(hop: str, seconds: int | None) -> str:
    if seconds is None:
        return "-"
    stale = seconds > settings().dashboard_stale_after_seconds and hop not in questions.WHEN_ASKED
    return "✘ stale" if stale else "✔ fresh"


def _letters() -> None:
    try:
        rows = ask(questions.LETTERS)
        decided = ask(questions.DECIDED)
    except UnreadableError:
        counted = ask(questions.LETTERS_COUNTED)
        st.caption("This warehouse has no book of its letters yet (./scripts/start.sh makes it): counts only.")
        grid("dead-letters", counted, reason="reason", letters="letters")
        return
    if rows:
        lines = [row | {"age_said": duration(row["age"]), "command": _redrive(row)} for row in rows]
        grid(
            "dead-letters", lines,
            book="book", **_entity(rows), reason="reason", letters="letters", amount="amount", currency="currency",
            age_said="oldest", command="put back",
        )  # fmt: skip
    else:
        st.success("Nothing waits for a decision.", icon=":material/check_circle:")
    if decided:
        said = (
            f"{row['letters']:,} {row['book'].replace('_', ' ')} {row['decision'].replace('_', ' ').lower()}"
            for row in decided
        )
        st.caption("Decided: " + ", ".join(said) + ".")


def _redrive(row: Row) -> str:
    rejected = " --rejected" if row["book"] == f"rejected_{row['entity']}" else ""
    entity = "" if row["entity"] == PAYMENTS else f" --entity {row['entity']}"
    return f"./scripts/tieout dlq redrive{entity}{rejected} --reason {row['reason']} --dry-run"


def _pending() -> None:
    rows = ask(questions.PENDING, {"window": questions.WINDOW_DAYS})
    if not rows:
        st.success("Everything older than the window has settled.", icon=":material/check_circle:")
        return
    grid("pending", rows, occurred_on="day", days="days old", payments="payments", amount="amount", currency="currency")


def _loads() -> None:
    rows = ask(questions.LOADS)
    if not rows:
        st.info("Nothing was loaded yet. Run ./scripts/tieout load.", icon=":material/info:")
        return
    timed = [row for row in reversed(rows) if row["seconds"] is not None]
    if len(timed) > 1:
        frame = charts.table(timed, ["seconds"], {"seconds": duration})
        st.altair_chart(charts.durations(frame, "load_id", "seconds", "seconds a load"))
    grid(
        "loads", rows,
        load_id="load", **_entity(rows), status="status", started_at="started, UTC", seconds="seconds",
        rows_read="read", rows_loaded="new", duplicates="duplicates", rejected="rejected",
        already_loaded="already loaded", dead_letters="dead letters", error_code="error", run_id="run",
    )  # fmt: skip


def _quality() -> None:
    rows = ask(questions.QUALITY)
    if not rows:
        st.success("The newest loads broke no rule.", icon=":material/check_circle:")
        return
    frame = charts.table(rows, ["rows_broken"], {})
    st.altair_chart(charts.lines(frame, "rows_broken", "rows broken in a load", "rule"))
    download("quality-by-rule", rows)


def _differences() -> None:
    rows = ask(questions.DIFFERENCES)
    if rows:
        grid(
            "differences", rows,
            checked_at="checked, UTC", **_entity(rows), equation="equation", currency="currency",
            difference_count="difference", difference_amount="difference in amount", scope="scope",
        )  # fmt: skip
        return
    proofs = ask(questions.PROOFS)[0]
    since = f" since {proofs['since']:%d %b %Y}" if proofs["since"] else ""
    st.success(f"None in {proofs['proofs']:,} proofs{since}.", icon=":material/check_circle:")


def _incidents() -> None:
    rows = ask(questions.INCIDENTS)
    if not rows:
        st.success("None.", icon=":material/check_circle:")
        return
    grid(
        "incidents", rows,
        at="at, UTC", dag_id="DAG", task_id="task", run_id="run", try_number="try", reason="reason", sent_at="told",
    )  # fmt: skip
