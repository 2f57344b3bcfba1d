"""Restatements and open payments for people."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core.console import PlainConsole, PlainTable
from core.text import shown
from warehouse.reconcile.show import grouped

SHOWN_ROWS = 15
SHOWN_TRANSACTIONS = 20
_RESTATED = ("day", "currency", "category", "", "success", "amount", "failed", "amount", "pending", "amount")
_STATUSES = ("success", "failed", "pending")


def show_restatement(result: dict[str, Any]) -> None:
    """Print the days that changed, then the transactions that did it."""
    console, table = PlainConsole(), PlainTable(*_RESTATED, right=frozenset(range(4, 10)))
    console.print(f"{_said(result['as_of'])} against {_said(result['vs'])}")
    restated = [row for row in result["rows"] if row["restated"]]
    for row in restated[:SHOWN_ROWS]:
        names = (row["occurred_on"], row["currency"], row["merchant_category"])
        table.add_row(*names, "then", *_figures(row["then"]))
        table.add_row("", "", "", "now", *_figures(row["now"]))
        table.add_row("", "", "", "difference", *_figures(row["difference"]), style="bold", end_section=True)
    if restated:
        console.print(table)
    if len(restated) > SHOWN_ROWS:
        console.print(f"and {len(restated) - SHOWN_ROWS:,} more: --csv has all")
    _show_new(console, [row for row in result["rows"] if not row["restated"]])
    _show_causes(console, result)
    if result["definitions_changed"]:
        console.print("models or seeds changed between the two: fees are in today's definition on both sides")
    for side in ("as_of", "vs"):
        if result[side]["failed_builds_behind_it"]:
            console.print(f"{result[side]['failed_builds_behind_it']} failed builds behind that build are not counted")
    console.print(f"{len(restated):,} figures restated" if restated else "nothing that was reported has changed")


def _show_new(console: Any, rows: list[dict[str, Any]]) -> None:
    for currency in sorted({row["currency"] for row in rows}):
        mine = [row["now"] for row in rows if row["currency"] == currency]
        days = len({row["occurred_on"] for row in rows if row["currency"] == currency})
        amounts = sum((Decimal(row[f"{status}_amount"]) for row in mine for status in _STATUSES), Decimal(0))
        count = sum(row[f"{status}_count"] for row in mine for status in _STATUSES)
        console.print(
            f"first reported since: {count:,} payments, {grouped(amounts)} {shown(currency)}, on {days:,} days"
        )


def _show_causes(console: Any, result: dict[str, Any]) -> None:
    counts = result["transaction_counts"]
    if not counts["settled"] + counts["new"]:
        return
    table = PlainTable("transaction", "day", "amount", "was", "is", "reached at", "known at", "load")
    for row in result["transactions"][:SHOWN_TRANSACTIONS]:
        amount = f"{grouped(row['amount'])} {row['currency']}"
        times = (_short(row["status_at"]), _short(row["known_at"]))
        table.add_row(
            row["transaction_id"], row["occurred_on"], amount, row["was"] or "-", row["is"], *times, str(row["load_id"])
        )
    console.print(f"because of {counts['settled']:,} settled and {counts['new']:,} new transactions:")
    console.print(table)
    more = counts["settled"] + counts["new"] - SHOWN_TRANSACTIONS
    if more > 0:
        console.print(f"and {more:,} more: --transactions FILE has all")


def show_pending(result: dict[str, Any]) -> None:
    """Print totals per currency, then the oldest payments."""
    console = PlainConsole()
    if not result["count"]:
        console.print(f"nothing is PENDING for more than {result['older_than']} at {result['as_of'] or 'no data yet'}")
        return
    console.print(f"PENDING for more than {result['older_than']} at {result['as_of']}, the data's newest status")
    table = PlainTable("currency", "payments", "amount", "oldest since", right=frozenset({1, 2}))
    for total in result["totals"]:
        table.add_row(total["currency"], f"{total['count']:,}", grouped(total["amount"]), _short(total["oldest"]))
    console.print(table)
    rows = PlainTable("transaction", "pending since", "age", "amount", "method", "category")
    for row in result["transactions"][:SHOWN_TRANSACTIONS]:
        age = timedelta(seconds=row["age_seconds"])
        amount = f"{grouped(row['amount'])} {row['currency']}"
        rows.add_row(
            *(row["transaction_id"], _short(row["pending_since"]), str(age), amount),
            *(row["payment_method"], row["merchant_category"]),
        )
    console.print(rows)
    if result["count"] > SHOWN_TRANSACTIONS:
        console.print(f"and {result['count'] - SHOWN_TRANSACTIONS:,} more: --json --limit N has them")


def _said(moment: dict[str, Any]) -> str:
    if moment["build_id"] is None:
        return "before the first build"
    when = "now" if moment["at"] is None else f"as of {moment['at']}"
    return f"{when} (build of {_short(moment['build_finished_at'])})"


def _figures(values: dict[str, Any]) -> list[str]:
    figures = []
    for status in _STATUSES:
        figures += [f"{values[f'{status}_count']:,}", grouped(values[f"{status}_amount"])]
    return figures


def _short(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M:%S")
