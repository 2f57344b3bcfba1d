"""The proof for people: what should be, what is, and how it stands, hop by hop."""

from decimal import Decimal
from typing import Any

from contracts.control_total import NO_FEED
from contracts.entities import load_entity
from contracts.model import is_named
from core.text import shown
from warehouse.proof.equation import entity_of

_COLOURS = {"OK": "green", "OPEN": "yellow", "UNATTESTED": "yellow", "VOID": "yellow", "DIFFERENT": "bold red"}
_COLUMNS = ("of", "currency", "should be", "amount", "is", "amount", "difference", "verdict")
_NUMBERS = 5
_MEANINGS = {
    "E0": "what its sender says it has sent = what has arrived in the lake",
    "E1": "offsets read from Kafka = events + dead letters + losses (LOST) + transactions (MARKER, ABORTED)",
    "E2": "events of a load = new + duplicates + rejected + already loaded rows in silver",
    "E3": "silver, latest status of each {singular} = {fact}",
    "E4": "{fact} = {daily}",
}
_VERDICTS = {
    "OK": "both sides are equal",
    "OPEN": "a step is still to come; nothing is judged yet",
    "UNATTESTED": "nobody says what it should be; --deep asks Kafka",
    "VOID": "an operator has ended the feed: nothing is compared any more; ./scripts/tieout feed list says why",
    "DIFFERENT": "the sides differ: ./scripts/tieout proof --explain names offsets and keys",
}


def show_proof(result: dict[str, Any]) -> None:
    """Print a table of the equations, what the verdicts mean, and what is behind each difference where asked for."""
    from rich.text import Text  # noqa: PLC0415  (only people need it)

    from core.console import PlainConsole, PlainTable  # noqa: PLC0415

    console = PlainConsole()
    entities = list(dict.fromkeys(entity_of(equation["scope"]) for equation in result["equations"]))
    named = is_named(entities)
    first = ("", "entity") if named else ("",)
    columns = (*first, *_COLUMNS)
    begin = columns.index("should be")
    table = PlainTable(*columns, right=frozenset(range(begin, begin + _NUMBERS)))
    before = None
    for equation in result["equations"]:
        name, left, right, verdict = (equation[key] for key in ("name", "left", "right", "verdict"))
        says_nothing = verdict in ("UNATTESTED", "VOID")
        entity = entity_of(equation["scope"])
        table.add_row(
            "" if (entity, name) == before else name,
            *([entity] if named else []),
            words(_without_entity(equation["scope"])),
            equation["currency"] or "",
            *("" if says_nothing else f"{left['count']:,}", _grouped(left["amount"])),
            *(f"{right['count']:,}", _grouped(right["amount"])),
            "" if says_nothing else _difference(equation),
            Text(verdict, style=_COLOURS[verdict]),
        )
        before = (entity, name)
    console.print(table)
    verdicts = [equation["verdict"] for equation in result["equations"]]
    for name in sorted({equation["name"] for equation in result["equations"]}):
        for meaning in _meanings(name, entities):
            console.print(f"{name}: {meaning}", style="dim")
    for verdict in (each for each in _VERDICTS if each in verdicts and each != "OK"):
        console.print(f"{verdict}: {_VERDICTS[verdict]}", style="dim")
    _show_explained(console, result.get("explained", []))
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _COLOURS if verdict in verdicts)
    console.print(counted or "nothing to prove yet: no load has run")


def _without_entity(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a scope whose entity is said elsewhere; events without a feed are (none) then, whosever they are."""
    found = {key: value for key, value in scope.items() if key != "entity"}
    if found.get("feed") == load_entity(entity_of(scope)).no_feed:
        found["feed"] = NO_FEED
    return found


def _meanings(name: str, entities: list[str]) -> list[str]:
    """Return what an equation compares, once for each entity where it is not the same."""
    found = (load_entity(each) for each in entities)
    said = [
        _MEANINGS[name].format(
            singular=entity.singular, fact=entity.fact.removeprefix("marts."), daily=entity.daily.removeprefix("marts.")
        )
        for entity in found
    ]
    return list(dict.fromkeys(said))


def words(scope: dict[str, Any]) -> str:
    """Return a scope in words: what a line of the proof is about."""
    parts = {key.replace("_", " "): value for key, value in scope.items() if key != "topic_id"}
    return ", ".join(key if value is True else f"{key} {_plain(value)}" for key, value in parts.items())


def _show_explained(console: Any, explained: list[dict[str, Any]]) -> None:
    for each in explained:
        console.print(f"\n{each['name']}, {words(each['scope'])}:", style="bold")
        if not each["items"]:
            console.print("  nothing smaller can be named; ./scripts/tieout proof --full looks at every row")
        for item in each["items"]:
            console.print("  " + ", ".join(f"{key.replace('_', ' ')} {shown(value)}" for key, value in item.items()))


def _grouped(amount: str | None) -> str:
    """Return an amount with its thousands set apart, every digit kept."""
    return f"{Decimal(amount):,}" if amount else ""


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]:,}-{value[1]:,}"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else shown(value)


def _difference(equation: dict[str, Any]) -> str:
    difference = equation["difference"]
    if equation["verdict"] == "OK":
        return ""
    return f"{difference['count']:,} {_grouped(difference['amount'])}".strip()
