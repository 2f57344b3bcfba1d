"""The contracts for people: docs/contract.md."""

import json
from collections.abc import Iterable, Sequence

from contracts.model import Entity, Field, Rule, Topic

PLACES = {
    ("malformed", "event"): (
        "Malformed",
        "The event goes to the dead letters, with its raw bytes and all its reasons.",
    ),
    ("invalid", "event"): (
        "Invalid",
        "The event is well-formed and stays in bronze; the loader puts it in `{rejected}`.",
    ),
    ("invalid", "warehouse"): (
        "Invalid beside what came before",
        "Judged by the loader, against the earlier events of the same key.",
    ),
}


def _field_row(field: Field) -> str:
    notes = [field.description]
    if field.enum:
        notes.append("One of " + ", ".join(f"`{value}`" for value in field.enum) + ".")
    if field.max_length:
        notes.append(f"At most {field.max_length} characters.")
    null = "malformed" if field.structural else ""
    cells = (f"`{field.name}`", field.type, null, field.personal, " ".join(notes), f"`{json.dumps(field.example)}`")
    return f"| {' | '.join(cells)} |"


def _rules(title: str, meaning: str, rules: list[Rule]) -> str:
    rows = "\n".join(f"| `{rule.code}` | {rule.field or ''} | {rule.meaning} |" for rule in rules)
    return f"### {title}\n{meaning}\n\n| reason code | field | meaning |\n|---|---|---|\n{rows}\n"


def _topics(topics: Iterable[Topic]) -> str:
    rows = "\n".join(
        f"| `{each.name}` | {each.partitions} | {', '.join(f'`{k}={v}`' for k, v in each.config.items())} |"
        for each in topics
    )
    return f"| topic | partitions | settings |\n|---|---|---|\n{rows}\n"


def _entity(entity: Entity) -> str:
    fields = "\n".join(_field_row(field) for field in entity.fields)
    rules = "\n".join(
        _rules(title, meaning.format(rejected=entity.rejected), [r for r in entity.rules if (r.kind, r.scope) == place])
        for place, (title, meaning) in PLACES.items()
    )
    names = (", ".join(f"`{name}`" for name in found) for found in (entity.identity, entity.statuses.fields))
    identity, differing = names
    final = " or ".join(f"`{status}`" for status in entity.statuses.final)
    return f"""## {entity.name.capitalize()}, version {entity.version}
{entity.purpose} It is stated in `contracts/contracts/entities/{entity.name}/contract.odcs.yaml`.

| field | type | null or absent is | data class | meaning | example |
|---|---|---|---|---|---|
{fields}

Key: `{entity.key}`. Kafka's partitions go by `{entity.message_key}`.
First status `{entity.statuses.first}`, then {final}.
The identity never changes between two statuses: {identity}. Only these may differ: {differing}.

### Where its events are
| hop | table |
|---|---|
| lake | `{entity.bronze}`, malformed ones `{entity.dead_letters}` |
| silver | `{entity.silver}`, `{entity.duplicates}`, `{entity.rejected}` |
| gold | `{entity.fact}`, `{entity.daily}` |

{rules}
{_topics([entity.topic, *([entity.alerts_topic] if entity.alerts_topic else [])])}"""


def render(entities: Sequence[Entity]) -> str:
    """Return the contracts as a page: fields, rules by kind, currencies, topics, headers, delivery columns."""
    platform = entities[0].platform
    delivery = "\n".join(f"| `{f.name}` | {f.type} | {f.description} | `{f.example}` |" for f in platform.delivery)
    currencies = ", ".join(f"{code} {digits}" for code, digits in platform.currencies.items())
    limits, unknown = platform.json_limits, platform.unknown_currency_digits
    headers = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in platform.headers.items())
    parts = "\n".join(_entity(entity) for entity in entities)
    return f"""<!-- Rendered from the contracts: ./scripts/tieout contract render -->
# The contracts

An entity is a kind of event. Its contract is one file; this page and every schema of the platform are rendered from it.
A rule passes only if it is true: null breaks it. An event carries the code of every rule that it breaks.

{parts}
## What all entities share
Minor digits: {currencies}; any other currency may have up to {unknown} and is rejected later.
A value is at most {platform.max_value_bytes:,} bytes.
It nests at most {limits.nesting_levels:,} levels of arrays and objects; the event's own is one of them.
A number in it has at most {limits.number_digits:,} digits, and a key at most {limits.key_characters:,} characters.

Control totals: each sender has a topic that it alone may write.

{_topics(platform.control_topics.values())}
| header | meaning |
|---|---|
{headers}

| column that lake and warehouse add | type | meaning | example |
|---|---|---|---|
{delivery}
"""
