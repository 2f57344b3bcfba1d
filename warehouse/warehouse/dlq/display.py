"""Letters for people: tables and a few sentences on standard output."""

from decimal import Decimal
from typing import Any

from contracts.model import is_named
from core.console import PlainConsole, PlainTable
from core.text import shown, shown_list
from warehouse.conflict import differs_text
from warehouse.dlq.books import DEAD_LETTERS
from warehouse.dlq.listing import UNKNOWN, age_text

_RIGHT = frozenset({"letters", "amount", "oldest", "bytes"})


def _table(*columns: str) -> PlainTable:
    return PlainTable(*columns, right=frozenset(n for n, name in enumerate(columns) if name in _RIGHT))


def show_list(found: dict[str, Any]) -> None:
    """Print the groups, or the letters, and one line of sums."""
    console = PlainConsole()
    entities = {each["entity"] for each in (found["letters"] if "letters" in found else found["groups"])}
    named = len(entities) > 1
    first = ("entity",) if named else ()
    if "letters" in found:
        table = _table(
            *first, "letter", "arrived", "oldest", "reasons", "source", "amount", "", "bytes", "state", "now at"
        )
        for letter in found["letters"]:
            table.add_row(*([letter["entity"]] if named else []), *_letter_row(letter))
    else:
        table = _table(*first, "letters", *found["by"], "amount", "", "oldest")
        for group in found["groups"]:
            _add_group(table, group, found["by"], [group["entity"]] if named else [])
    console.print(table)
    for letter in found.get("letters", ()):
        if letter["conflict"]:
            console.print(f"{letter['letter']} differs: {differs_text(letter['conflict'])}", soft_wrap=True)
    states = ", ".join(f"{count:,} {_state(state)}" for state, count in sorted(found["states"].items()))
    # The books of rejected events say whose they are.
    of = f" of {', '.join(entities)}" if is_named(entities) and not named and found["book"] == DEAD_LETTERS else ""
    console.print(f"{found['book'].replace('_', ' ')}{of}: {states or 'none'}")
    if "UNCONFIRMED" in found["states"]:
        console.print("A redrive was killed: ./scripts/tieout dlq redrive finishes it.")


def _letter_row(letter: dict[str, Any]) -> list[str]:
    successor = letter["successor"]
    return [
        letter["letter"],
        letter["arrived_at"][:16].replace("T", " "),
        age_text(letter["age_seconds"]),
        ", ".join(letter["reasons"]),
        letter["source"] or "(none)",
        letter["amount"] or UNKNOWN,
        letter["currency"] or "",
        "" if letter["value_bytes"] is None else f"{letter['value_bytes']:,}",
        "sending" if letter["is_unconfirmed"] else _state(letter["state"]),
        f"{successor['letter']} in raw.{successor['book']}" if successor else "",
    ]


def _state(state: str) -> str:
    return state.lower().replace("_", " ")


def _add_group(table: PlainTable, group: dict[str, Any], by: list[str], entity: list[str]) -> None:
    said = {
        "reason": ", ".join(group["reasons"]),
        "day": group["day"],
        "source": group["source"] or "(none)",
        "state": _state(group["state"] or ""),
    }
    first = [*entity, f"{group['count']:,}", *(said[name] for name in by)]
    for number, (currency, money) in enumerate(group["amounts"].items()):
        named = [f"{Decimal(money['amount']):,}", currency] if money["amount"] else [UNKNOWN, f"({money['count']})"]
        row = [*first, *named, age_text(group["age_seconds"])] if number == 0 else [*[""] * len(first), *named, ""]
        table.add_row(*row)


def show_letter(found: dict[str, Any]) -> None:
    """Print one letter."""
    console = PlainConsole()
    amount = f"{found['amount']} {found['currency']}" if found["amount"] else UNKNOWN
    state = "sending, not confirmed" if found["is_unconfirmed"] else _state(found["state"])
    console.print(
        f"letter {found['letter']} of {found['book']}, arrived {found['arrived_at']}: {state}, amount {amount}"
    )
    console.print(
        f"source feed {shown(found['source'] or '(none)')}, event {found['seq'] or '(none)'}, load {found['load_id']}; "
        f"topic {shown(found['topic_id'])}"
    )
    for code, meaning in found["meanings"].items():
        console.print(f"  {shown(code)}: {meaning}")
    if found["conflict"]:
        _show_conflict(console, found["conflict"])
    _show_content(console, found)
    if len(found["chain"]) > 1 or found["successor"]:
        console.print("its way:")
        for link in found["chain"]:
            console.print(
                f"  {link['letter']} in {link['book']} ({shown_list(link['reasons'])}): {_state(link['state'])}"
            )
        last = found["chain"][-1]["successor"]
        if last:
            console.print(f"  {last['letter']} in raw.{last['book']}")
        elif found["chain"][-1]["redriven"]:
            console.print("  sent, and not loaded yet")


def _show_conflict(console: PlainConsole, conflict: dict[str, Any]) -> None:
    first = conflict["standing"]
    console.print(
        f"what stands is {first['partition']}:{first['offset']} in raw.{first['book']}: source feed "
        f"{shown(first['run'] or '(none)')}, event {first['seq'] or '(none)'}, load {first['load_id']}",
        soft_wrap=True,
    )
    console.print(f"  it differs: {differs_text(conflict)}", soft_wrap=True)


def _show_content(console: PlainConsole, found: dict[str, Any]) -> None:
    content = found["content"]
    if content is None:
        console.print("its bytes are no longer in the lake: retention has removed them.")
        return
    if content["bytes"] is None:
        console.print("the message has no value.")
        return
    console.print(f"{content['bytes']:,} bytes, sha256 {content['sha256']}, key {shown(content['key'] or '(none)')}")
    if content["fields"] is None:
        console.print(f"not readable as an object; it begins with the bytes {content['hex'] or '(none)'}")
    else:
        table = _table("", "field", "value")
        for field in content["fields"]:
            table.add_row("", field["name"], field["value"])
        console.print(table)
    if "raw" in content:
        console.print(content["raw"], soft_wrap=True)
    else:
        console.print("Personal data is masked; --unmask shows it, and is logged.")


def show_outcome(outcome: dict[str, Any]) -> None:
    """Print what an export, a redrive or a write-off did."""
    console = PlainConsole()
    if "file" in outcome:
        console.print(
            f"{outcome['letters']:,} letters are in {shown(outcome['file'])} (mode 600; it holds personal data)."
        )
        flag = " --rejected" if outcome["rejected"] else ""
        console.print(
            f"Mend them, then ./scripts/tieout dlq redrive{flag} --from {shown(outcome['file'])}, and delete the file."
        )
        return
    would = "would be" if outcome["dry_run"] else "are"
    if "name" in outcome:
        for each in outcome["entities"]:
            of = f" of {each['entity']}" if len(outcome["entities"]) > 1 else ""
            console.print(f"{each['letters']:,} letters{of} {would} written off: {_amounts(each['amounts'])}.")
        return
    if outcome["finished"]:
        again = "would be" if outcome["dry_run"] else "were"
        console.print(f"{outcome['finished']:,} letters of a killed redrive {again} sent again.")
    for each in outcome.get("redrives", [outcome]):
        if "redrives" in outcome:
            console.print(f"{each['entity']}:")
        _show_redrive(console, each, would=outcome["dry_run"])
    if outcome["letters"] and not outcome["dry_run"]:
        console.print("./scripts/tieout run brings them to the marts and proves it.")


def _amounts(amounts: dict[str, Any]) -> str:
    listed = (f"{Decimal(m['amount']):,} {shown(c)} ({m['count']:,})" for c, m in amounts.items())
    return ", ".join(listed) or "no known amount"


def _show_redrive(console: PlainConsole, outcome: dict[str, Any], *, would: bool) -> None:
    malformed = outcome["expected"]["malformed"]
    if not outcome["letters"]:
        console.print("no open letter to send.")
        return
    sent = "would be sent" if would else f"are sent, as feed {shown(outcome['run'])}"
    console.print(f"{outcome['letters']:,} letters {sent}; {outcome['unchanged']:,} of them unchanged.")
    console.print(f"{outcome['expected']['well_formed']:,} are well-formed: {_amounts(outcome['amounts'])}.")
    if would:
        _show_forecast(console, outcome["expected"])
    if malformed:
        codes = ", ".join(f"{shown(code)} {count:,}" for code, count in malformed.items())
        console.print(f"The others {'would be' if would else 'will be'} dead letters again: {codes}.")
    for letter in outcome["expected"].get("not_new", ()):
        console.print(
            f"  {letter['letter']} would be in raw.{letter['becomes']} {', '.join(letter['reasons'])}".rstrip()
        )


def _show_forecast(console: PlainConsole, expected: dict[str, Any]) -> None:
    """Print what silver will make of the well-formed letters."""
    amounts = ", ".join(f"{Decimal(m['amount']):,} {c} ({m['count']:,})" for c, m in expected["new_amounts"].items())
    console.print(f"{expected['new']:,} of them would be new in silver" + (f": {amounts}." if amounts else "."))
    if expected["duplicates"]:
        console.print(f"{expected['duplicates']:,} of them would be duplicates of what silver has.")
    if expected["rejected_letters"]:
        codes = ", ".join(f"{code} {count:,}" for code, count in expected["rejected"].items())
        console.print(f"{expected['rejected_letters']:,} of them would be rejected: {codes}.")
