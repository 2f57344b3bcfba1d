"""Says what is wrong with the entities' files: file, line, and how it is mended."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TYPES = {"string": "text", "number": "numeric(20,4)", "boolean": "boolean", "timestamp": "timestamptz"}
Place = list[str | int]
NEEDED = ("key", "statuses", "money", "eventTime", "identity", "messageKey", "topic")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file.

    Attributes:
        line: in the file, from 1.
        repair: what to do about it.
    """

    file: Path
    line: int
    what: str
    repair: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}. Repair: {self.repair}"


class Document:
    """A YAML document that knows the line of each of its parts.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.value: Any = yaml.safe_load(text)
        self._root = yaml.compose(text)

    def problem(self, path: Iterable[str | int], what: str, repair: str) -> Problem:
        """Return a problem at a part; where the part is missing, at the nearest part around it."""
        node, line = self._root, 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found, found.start_mark.line + 1
        return Problem(self.file, line, what, repair)

    def has(self, path: Iterable[str | int]) -> bool:
        """Say whether there is such a part."""
        node: Any = self._root
        for step in path:
            node = _child(node, step)
        return node is not None


def property_place(document: Document, name: str) -> Place:
    """Return where the event's property of a name has its value; of one that is not there, where it would be."""
    listed = document.value["schema"][0]["customProperties"]
    names = [each["property"] for each in listed]
    return ["schema", 0, "customProperties", names.index(name) if name in names else len(names), "value"]


def _child(node: Any, step: str | int) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def unreadable(file: Path, error: yaml.YAMLError) -> Problem:
    """Return the problem of a text that is no YAML."""
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "it cannot be read"
    return Problem(file, mark.line + 1 if mark else 1, f"it is no YAML: {what}", "mend the line or the one before it")


def contract_problems(file: Path, text: str) -> list[Problem]:
    """Return what is wrong with the form of a contract, so that no entity can be made of it."""
    try:
        document = Document(file, text)
    except yaml.YAMLError as error:
        return [unreadable(file, error)]
    return list(_form(document))


def _form(document: Document) -> Iterator[Problem]:
    held = document.value if isinstance(document.value, dict) else {}
    for part in ("version", "description", "schema"):
        if part not in held:
            yield document.problem([], f"it has no {part}", f"add `{part}:`, as in the other entities' contracts")
    schema = held.get("schema")
    if not isinstance(schema, list) or len(schema) != 1 or not isinstance(schema[0], dict):
        yield document.problem(
            ["schema"], "it must state one schema", "one event a contract; another is an entity of its own"
        )
        return
    event = schema[0]
    for part in ("name", "physicalName", "properties"):
        if part not in event:
            yield document.problem(["schema", 0], f"the event has no {part}", f"add `{part}:`")
    custom = {
        entry.get("property"): number
        for number, entry in enumerate(event.get("customProperties") or [])
        if isinstance(entry, dict)
    }
    for part in NEEDED:
        if part not in custom:
            where: list[str | int] = ["schema", 0, "customProperties"]
            yield document.problem(where, f"the event's property {part} is missing", f"add `- property: {part}`")
    for number, field in enumerate(event.get("properties") or []):
        yield from _field_form(document, number, field if isinstance(field, dict) else {})


def _field_form(document: Document, number: int, field: dict[str, Any]) -> Iterator[Problem]:
    where: list[str | int] = ["schema", 0, "properties", number]
    name = field.get("name", f"field {number + 1}")
    for part in ("name", "logicalType", "physicalType", "description", "examples"):
        if not field.get(part):
            yield document.problem(where, f"{name} has no {part}", f"add `{part}:`")
    kind, stored = field.get("logicalType"), field.get("physicalType")
    if kind not in TYPES:
        known = ", ".join(TYPES)
        yield document.problem(
            [*where, "logicalType"], f"{name} has the type {kind}, which nothing here judges", f"one of {known}"
        )
    elif stored != TYPES[kind]:
        yield document.problem(
            [*where, "physicalType"], f"{name} is a {kind} stored as {stored}", f"physicalType: {TYPES[kind]}"
        )
    for at, rule in enumerate(field.get("quality") or []):
        code, place = rule.get("name", "a rule"), [*where, "quality", at]
        if rule.get("type") == "library":
            if rule.get("metric") != "invalidValues" or not (rule.get("arguments") or {}).get("validValues"):
                yield document.problem(
                    place, f"{code} is no list of values", "metric: invalidValues, and arguments: {validValues: [...]}"
                )
        elif rule.get("engine") != "tieout":
            yield document.problem(
                [*place, "engine"], f"{code} names the rule engine {rule.get('engine')}, which nothing here runs",
                "engine: tieout, with `implementation` as SQL over one event",
            )  # fmt: skip
        elif not rule.get("implementation"):
            yield document.problem(
                place, f"{code} states no condition", "add `implementation:`, SQL that is true for a good event"
            )
