"""The contract as JSON Schema, for whoever makes events."""

import json
from typing import Any

from contracts.model import Entity, Field


def _property(field: Field, entity: Entity) -> dict[str, Any]:
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
    if field.name == entity.amount:
        schema["exclusiveMinimum"] = 0
    if field.name not in required_fields(entity):
        schema["type"] = [schema["type"], "null"]
    return schema | {"description": field.description, "examples": [field.example]}


def required_fields(entity: Entity) -> list[str]:
    """Return the fields that a valid event must have, whatever its status.

    A field that only some status asks for, such as the reason of a failure, is not among them.
    """
    needed = {rule.field for rule in entity.rules if rule.code == f"{(rule.field or '').upper()}_MISSING"}
    of_status = {name for name in entity.statuses.fields if not entity.field(name).structural}
    return [
        field.name for field in entity.fields if field.name not in of_status and (field.name in needed or field.enum)
    ]


def render(entity: Entity) -> str:
    """Return the JSON Schema (draft 2020-12) of a valid event.

    It cannot say two things that the contract does: digits by currency, and rules over several fields.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tieout:contract:{entity.singular}:{entity.version}",
        "title": entity.singular,
        "description": entity.purpose,
        "type": "object",
        "properties": {field.name: _property(field, entity) for field in entity.fields},
        "required": required_fields(entity),
        "additionalProperties": True,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
