"""The contract for dbt: sources, and a docs block a field."""

from typing import Any

import yaml

from contracts.model import Contract, Field

TABLES = {
    "transactions": "Valid events. Grain: one row a transaction and status.",
    "duplicates": "Events whose transaction, status and content came before. Grain: one row a Kafka offset.",
    "rejected_transactions": "Well-formed events that break a business rule. Grain: one row a Kafka offset.",
    "dead_letters": "Catalogue of malformed events; their bytes stay in the lake. Grain: one row a Kafka offset.",
}
CATALOGUE = ("run", "seq", "topic_id", "partition", "offset", "load_id")


def block_name(field: Field) -> str:
    """Return the name of a field's docs block."""
    return f"transaction__{field.name}"


def _column(field: Field) -> dict[str, str]:
    return {"name": field.stored_as, "description": f"{{{{ doc('{block_name(field)}') }}}}"}


def render_sources(contract: Contract) -> str:
    """Return the dbt sources of the warehouse's raw tables."""
    silver = [f for f in contract.delivery if f.name not in {"unknown_fields", "contract_version"}]
    tables: list[dict[str, Any]] = []
    for name, description in TABLES.items():
        fields = [*contract.fields, *silver]
        if name == "dead_letters":
            fields = [field for field in contract.delivery if field.name in CATALOGUE]
        tables.append({"name": name, "description": description, "columns": [_column(field) for field in fields]})
    document = {
        "version": 2,
        "sources": [
            {
                "name": "raw",
                "schema": "raw",
                "description": "The silver warehouse, filled by the loader.",
                "tables": tables,
            }
        ],
    }
    head = "# Rendered from the contract: ./scripts/tieout contract render\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=160, allow_unicode=True)


def render_docs_blocks(contract: Contract) -> str:
    """Return a docs block for each field and each column of the delivery."""
    blocks = [
        f"{{% docs {block_name(field)} %}}\n{field.description}\n{{% enddocs %}}\n"
        for field in (*contract.fields, *contract.delivery)
    ]
    return "<!-- Rendered from the contract: ./scripts/tieout contract render -->\n\n" + "\n".join(blocks)
