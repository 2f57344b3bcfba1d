"""The comparison for people."""

from decimal import Decimal
from typing import Any

# A figure or an id that is cut cannot be compared: rather let the terminal scroll.
WIDTH = 180
SHOWN = 20
_WORDS = {
    "MATCHED": "matched",
    "MISSING_WITH_US": "missing with us",
    "REJECTED_WITH_US": "rejected",
    "MISSING_WITH_THEM": "missing with them",
    "AMOUNT_DIFFERS": "amount differs",
    "STATUS_DIFFERS": "status differs",
    "DATE_DIFFERS": "date differs",
    "DUPLICATE_IN_FILE": "twice in the file",
    "GOLD_DIFFERS": "marts differ from silver",
}


def show_reconciliation(result: dict[str, Any]) -> None:
    """Print totals by currency, the first differences, and one line that says how it stands."""
    from rich.console import Console  # noqa: PLC0415  (only people need it)

    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    period = result["period"]
    days = f"{period['from']} to {period['to']}, {period['days']} days" if period["days"] > 1 else period["from"]
    console.print(f"{result['file']}: {result['lines']:,} lines, of {days}", markup=False)
    console.print(_totals(result["totals"]))
    if result["differences"]:
        console.print(_differences(result["differences"][:SHOWN]))
        more = result["difference_count"] - min(SHOWN, len(result["differences"]))
        if more > 0:
            console.print(f"and {more:,} more")
        console.print(f"all differences: {result['differences_file']}", markup=False)
    for line in _remarks(result):
        console.print(line, markup=False)
    count = result["difference_count"]
    found = f"{count:,} difference{'s' if count != 1 else ''}" if count else "no difference"
    console.print(f"{found} in {result['seconds']:.1f} s", style="green" if result["ok"] else "bold red")


def _totals(totals: list[dict[str, Any]]) -> Any:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("currency", ""):
        table.add_column(name, no_wrap=True)
    for name in ("statement", "amount", "our books", "amount", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    for currency in sorted({total["currency"] for total in totals}):
        rows = [total for kind in _WORDS for total in totals if (total["currency"], total["kind"]) == (currency, kind)]
        for row in rows:
            table.add_row(
                currency, _WORDS[row["kind"]], *_figures(row), style="" if row["kind"] == "MATCHED" else "red"
            )
        table.add_row(currency, "all", *_figures(_sum(rows)), style="bold", end_section=True)
    return table


def _sum(rows: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {name: sum(row[name] for row in rows) for name in ("their_count", "our_count")}
    return counts | {name: str(sum(Decimal(row[name]) for row in rows)) for name in ("their_amount", "our_amount")}


def _figures(row: dict[str, Any]) -> tuple[str, ...]:
    theirs, ours = Decimal(row["their_amount"]), Decimal(row["our_amount"])
    gap = f"{grouped(theirs - ours)}" if theirs != ours else ""
    return f"{row['their_count']:,}", grouped(theirs), f"{row['our_count']:,}", grouped(ours), gap


def grouped(value: Decimal | str) -> str:
    """Return an amount with its thousands set apart and at least two digits, none lost."""
    value = Decimal(value)
    short = value.quantize(Decimal("0.01"))
    return f"{short if short == value else value.normalize():,}"


def _differences(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("line", justify="right", no_wrap=True)
    for name in ("transaction", "", "statement", "our books", "marts"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        sides = [
            " ".join(part for part in (row.get(f"{side}_date"), _money(row, side), row[f"{side}_status"]) if part)
            for side in ("their", "our", "gold")
        ]
        line = f"{row['line']:,}" if row["line"] is not None else ""
        kind = _WORDS[row["kind"]] + (f": {row['reasons']}" if row["reasons"] else "")
        table.add_row(line, row["transaction_id"], kind, *sides)
    return table


def _figure(value: str, figure: str) -> str:
    return f"{int(value):,}" if figure == "count" else grouped(value)


def _money(row: dict[str, Any], side: str) -> str:
    amount = row[f"{side}_amount"]
    return "" if amount is None else f"{grouped(amount)} {row.get(f'{side}_currency') or ''}".strip()


def _remarks(result: dict[str, Any]) -> list[str]:
    remarks = []
    if result["footer"]["verdict"] == "NONE":
        remarks.append("the file has no footer: that it is whole cannot be told")
    for check in result["footer"]["checks"]:
        if not check["ok"]:
            of = f" of {check['currency']}" if check["currency"] else ""
            stated, found = (_figure(check[side], check["figure"]) for side in ("stated", "found"))
            says = f"says {check['figure']}{of} {stated}, its lines have {found}"
            remarks.append(f"footer, line {check['line']}: {says}")
    if result["waiting_for_build"]:
        remarks.append(f"{result['waiting_for_build']:,} of ours wait for a build: compared with silver only")
    redriven = sum(row["redrive_of"] is not None for row in result["differences"])
    if redriven:
        remarks.append(f"{redriven:,} of the differences came by a redrive (column redrive_of)")
    return remarks
