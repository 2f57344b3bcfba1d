"""`tieout dlq show`: one letter, what is wrong with it in words, and what became of it. Personal data is masked."""

import hashlib
import json
import re
from typing import Any

from contracts.entities import load_entity
from contracts.model import Entity
from warehouse.dlq.books import DEAD_LETTERS, Connection, book_of
from warehouse.dlq.lake import Letter
from warehouse.dlq.listing import list_letters
from warehouse.dlq.selection import Selection

LONGEST_CHAIN = 50
# A header of others may name any number; no partition or offset is longer.
_PARTITION, _OFFSET = re.compile(r"[0-9]{1,9}"), re.compile(r"[0-9]{1,18}")
HEAD_BYTES = 16


def chain(connection: Connection, letter: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the letter's redrives one behind the other, from the first letter to where its last event stands."""
    first = letter
    for _ in range(LONGEST_CHAIN):
        before = _letter_at(connection, first["redrive_of"], first["topic_id"], first)
        if before is None:
            break
        first = before
    links = [first]
    for _ in range(LONGEST_CHAIN):
        after = links[-1]["successor"]
        following = after and _at(connection, after["letter"], links[-1]["topic_id"], after["book"])
        if not following:
            break
        links.append(following)
    return links


def _letter_at(
    connection: Connection, header: str | None, topic_id: str, successor: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the letter that a header names, if it was redriven as this event."""
    place, _, former = (header or "").partition("@")
    entity = load_entity(successor["entity"])
    for book in (DEAD_LETTERS, book_of(entity, rejected=True)):
        found = _at(connection, place, former or topic_id, book)
        if found and found["redriven"] == {"run": successor["source"], "seq": successor["seq"]}:
            return found
    return None


def _at(connection: Connection, place: str, topic_id: str, book: str) -> dict[str, Any] | None:
    partition, _, offset = place.partition(":")
    if not (_PARTITION.fullmatch(partition) and _OFFSET.fullmatch(offset)):
        return None
    offsets = ((int(partition), int(offset), int(offset)),)
    selection = Selection(rejected=book != DEAD_LETTERS, offsets=offsets, topic_id=topic_id)
    return next((each for each in list_letters(connection, selection, 1) if each["book"] == book), None)


def meanings(reasons: list[str], entity: Entity) -> dict[str, str]:
    """Return each reason with what the contract says of it."""
    known = {rule.code: rule.meaning for rule in entity.rules}
    return {code: known.get(code, f"no rule of contract {entity.version}") for code in reasons}


def view_bytes(letter: Letter, entity: Entity, *, unmask: bool) -> dict[str, Any]:
    """Return the letter's bytes as a person may see them.

    Parsed, each field; those that the contract marks as personal, or does not know, by length. Not parsed, length,
    fingerprint and the first bytes in hex. Everything only with unmask.
    """
    value = letter.value
    if value is None:
        return {"bytes": None, "fields": None}
    seen: dict[str, Any] = {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    fields = _fields(value)
    if fields is None:
        seen |= {"fields": None, "hex": value[:HEAD_BYTES].hex(" ")}
    else:
        open_fields = {field.name for field in entity.fields if field.personal == "internal"}
        seen["fields"] = [
            {"name": name if unmask or name in open_fields or name in _names(entity) else _masked(name)}
            | {"value": shown if unmask or name in open_fields else _masked(shown)}
            for name, shown in fields
        ]
    key = letter.key.decode("utf-8", "backslashreplace") if letter.key is not None else None
    seen["key"] = key if unmask or key is None else _masked(key)
    if unmask:
        seen["raw"] = value.decode("utf-8", "backslashreplace")
    return seen


def _names(entity: Entity) -> set[str]:
    return {field.name for field in entity.fields}


def _masked(text: str) -> str:
    return text if text in {"null", '""', "true", "false"} else f"(masked, {len(text)} characters)"


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _fields(value: bytes) -> list[tuple[str, str]] | None:
    """Return the top-level keys, repeated ones too, with their values as JSON; None where it is no object."""
    try:
        read = json.loads(value.decode("utf-8"), parse_float=_Number, parse_int=_Number, object_pairs_hook=_Pairs)
        if isinstance(read, _Pairs):
            return [(name, _json(shown)) for name, shown in read.items]
    except (ValueError, RecursionError):
        pass
    return None


class _Pairs:
    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.items = pairs


def _json(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _Pairs):
        return "{" + ", ".join(f"{json.dumps(name)}: {_json(inner)}" for name, inner in value.items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    return json.dumps(value)
