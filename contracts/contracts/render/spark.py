"""The contract for Spark: the lake's columns, and the reasons for which an event is malformed."""

import json
from dataclasses import asdict

from contracts.model import Contract


def render(contract: Contract) -> str:
    """Return JSON with the reading schema, the structural fields, the digits of each currency and the reason codes."""
    document = {
        "contract": contract.version,
        "columns": ", ".join(f"{field.stored_as} {field.spark_type}" for field in contract.fields),
        "structural": [field.name for field in contract.fields if field.structural],
        "minor_digits": {**contract.currencies, "other": contract.unknown_currency_digits},
        "max_value_bytes": contract.max_value_bytes,
        "json_limits": asdict(contract.json_limits),
        "malformed": {rule.code: rule.meaning for rule in contract.rules if rule.kind == "malformed"},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
