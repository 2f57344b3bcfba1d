"""The proof for people."""

from decimal import Decimal
from typing import Any

_COLOURS = {"OK": "green", "OPEN": "yellow", "UNATTESTED": "yellow", "DIFFERENT": "bold red"}
WIDTH = 150
_MEANINGS = {
    "E1": "offsets consumed = bronze + dead letters + accepted losses (LOST)",
    "E2": "bronze of a load = new + duplicates + rejected + already loaded",
    "E3": "silver, latest status = fact_transactions",
    "E4": "fact_transactions = daily revenue",
}


def show_proof(result: dict[str, Any]) -> None:
    """Print a table of the equations, and one line that says how it stands."""
    from rich.console import Console  # noqa: PLC0415  (only people need it)
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    # A figure that is cut or wrapped cannot be compared: rather let the terminal scroll.
    console.width = max(console.width, WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("equation", "of", "currency"):
        table.add_column(name, no_wrap=True)
    for name in ("left", "amount", "right", "amount", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for equation in result["equations"]:
        left, right, verdict = equation["left"], equation["right"], equation["verdict"]
        table.add_row(
            equation["name"],
            ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in _shown(equation["scope"])),
            equation["currency"] or "",
            *(f"{left['count']:,}", _grouped(left["amount"]), f"{right['count']:,}", _grouped(right["amount"])),
            _difference(equation),
            f"[{_COLOURS[verdict]}]{verdict}[/]",
        )
    console.print(table)
    for name in sorted({equation["name"] for equation in result["equations"]}):
        console.print(f"{name}: {_MEANINGS[name]}", style="dim")
    verdicts = [equation["verdict"] for equation in result["equations"]]
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _COLOURS if verdict in verdicts)
    console.print(counted or "nothing to prove yet: no load has run")


def _shown(scope: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in scope.items() if key != "topic_id"]


def _grouped(amount: str | None) -> str:
    """Return an amount with its thousands set apart, every digit kept."""
    return f"{Decimal(amount):,}" if amount else ""


def _plain(value: Any) -> str:
    return f"{value[0]}-{value[1]}" if isinstance(value, list) else str(value)


def _difference(equation: dict[str, Any]) -> str:
    difference = equation["difference"]
    if equation["verdict"] == "OK":
        return ""
    return f"{difference['count']:,} {_grouped(difference['amount'])}".strip()
