"""The contract for people: docs/contract.md."""

import json

from contracts.model import Contract, Field, Rule

PLACES = {
    ("malformed", "event"): (
        "Malformed",
        "The event goes to the dead letters, with its raw bytes and all its reasons.",
    ),
    ("invalid", "event"): (
        "Invalid",
        "The event is well-formed and stays in bronze; the loader puts it in `raw.rejected_transactions`.",
    ),
    ("invalid", "warehouse"): (
        "Invalid beside what came before",
        "Judged by the loader, against the transaction's earlier events.",
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


def render(contract: Contract) -> str:
    """Return the contract as a page: fields, rules by kind, currencies, topics, headers, delivery columns."""
    fields = "\n".join(_field_row(field) for field in contract.fields)
    delivery = "\n".join(f"| `{f.name}` | {f.type} | {f.description} | `{f.example}` |" for f in contract.delivery)
    rules = "\n".join(
        _rules(title, meaning, [rule for rule in contract.rules if (rule.kind, rule.scope) == place])
        for place, (title, meaning) in PLACES.items()
    )
    currencies = ", ".join(f"{code} {digits}" for code, digits in contract.currencies.items())
    topics = "\n".join(
        f"| `{t.name}` | {t.partitions} | " + ", ".join(f"`{k}={v}`" for k, v in t.config.items()) + " |"
        for t in contract.topics.values()
    )
    limits = contract.json_limits
    headers = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in contract.headers.items())
    return f"""<!-- Rendered from the contract: ./scripts/tieout contract render -->
# The transaction contract, version {contract.version}

{contract.purpose} The one place that states it is `contracts/contracts/transaction.odcs.yaml`; this page and every
schema of the platform are rendered from it.

## Fields
| field | type | null or absent is | data class | meaning | example |
|---|---|---|---|---|---|
{fields}

Minor digits: {currencies}; any other currency may have up to {contract.unknown_currency_digits} and is rejected later.
A value is at most {contract.max_value_bytes:,} bytes.
It nests at most {limits.nesting_levels:,} levels of arrays and objects; the event's own is one of them.
A number in it has at most {limits.number_digits:,} digits, and a key at most {limits.key_characters:,} characters.

## Rules
A rule passes only if it is true: null breaks it. An event carries the code of every rule that it breaks.

{rules}
## Topics
| topic | partitions | settings |
|---|---|---|
{topics}

The key is `customer_id`. Headers:

| header | meaning |
|---|---|
{headers}

## What lake and warehouse add
| column | type | meaning | example |
|---|---|---|---|
{delivery}
"""
