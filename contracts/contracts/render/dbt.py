"""The contracts for dbt: sources, and a docs block a field."""

from collections.abc import Sequence
from typing import Any

import yaml

from contracts.model import Entity, Field

CATALOGUE = ("run", "seq", "topic_id", "partition", "offset", "load_id")
DEAD_LETTERS = "Catalogue of malformed events; their bytes stay in the lake. Grain: one row a Kafka offset."


def _tables(entity: Entity) -> dict[str, str]:
    return {
        entity.silver: f"Valid events. Grain: one row a {entity.singular} and status.",
        entity.duplicates: f"Events whose {entity.singular}, status and content came before. "
        "Grain: one row a Kafka offset.",
        entity.rejected: "Well-formed events that break a business rule. Grain: one row a Kafka offset.",
    }


def block_name(entity: Entity, field: Field) -> str:
    """Return the name of a field's docs block."""
    return f"{entity.singular}__{field.name}"


def _source(entity: Entity, table: str, description: str, fields: Sequence[Field]) -> dict[str, Any]:
    columns = [
        {"name": field.stored_as, "description": f"{{{{ doc('{block_name(entity, field)}') }}}}"} for field in fields
    ]
    return {"name": table.removeprefix("raw."), "description": description, "columns": columns}


def render_sources(entities: Sequence[Entity]) -> str:
    """Return the dbt sources of the warehouse's raw tables."""
    tables = []
    for entity in entities:
        silver = [f for f in entity.delivery if f.name not in {"unknown_fields", "contract_version"}]
        fields = [*entity.fields, *silver]
        tables += [_source(entity, table, said, fields) for table, said in _tables(entity).items()]
    catalogue = [field for field in entities[0].delivery if field.name in CATALOGUE]
    tables.append(_source(entities[0], "dead_letters", DEAD_LETTERS, catalogue))
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
    head = "# Rendered from the contracts: ./scripts/tieout contract render\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=160, allow_unicode=True)


def render_docs_blocks(entities: Sequence[Entity]) -> str:
    """Return a docs block for each field and each column of the delivery."""
    blocks = [
        f"{{% docs {block_name(entity, field)} %}}\n{field.description}\n{{% enddocs %}}\n"
        for entity in entities
        for field in (*entity.fields, *entity.delivery)
    ]
    return "<!-- Rendered from the contracts: ./scripts/tieout contract render -->\n\n" + "\n".join(blocks)
