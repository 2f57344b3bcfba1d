"""The contract as JSON Schema, for whoever makes events."""

import json
from typing import Any

from contracts.model import Contract, Field


def _property(field: Field) -> dict[str, Any]:
    if field.type == "decimal":
        schema: dict[str, Any] = {"type": "number"}
    elif field.type == "boolean":
        schema = {"type": "boolean"}
    else:
        schema = {"type": "string"}
    if field.type == "timestamp":
        schema["format"] = "date-time"
    if field.enum:
        schema["enum"] = list(field.enum)
    if field.max_length:
        schema["maxLength"] = field.max_length
    if field.name == "amount":
        schema["exclusiveMinimum"] = 0
    if field.name == "failure_reason":
        schema["type"] = ["string", "null"]
    return schema | {"description": field.description, "examples": [field.example]}


def render(contract: Contract) -> str:
    """Return the JSON Schema (draft 2020-12) of a valid event.

    It cannot say two things that the contract does: digits by currency, and rules over several fields.
    """
    needed = {
        rule.field for rule in contract.rules if rule.code.endswith("_MISSING") and rule.field != "failure_reason"
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tieout:contract:transaction:{contract.version}",
        "title": "transaction",
        "description": contract.purpose,
        "type": "object",
        "properties": {field.name: _property(field) for field in contract.fields},
        "required": [field.name for field in contract.fields if field.name in needed or field.enum],
        "additionalProperties": True,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
