"""Everything that is written out of the contracts: which file, and by which renderer."""

from collections.abc import Sequence
from pathlib import Path

from contracts.model import Entity
from contracts.render import dbt, documentation, jsonschema, postgres
from core.settings_example import render_example


def rendered(entities: Sequence[Entity]) -> dict[str, str]:
    """Return the text of every rendered file by its path in the checkout."""
    found = {
        "transformation/models/staging/_sources.yml": dbt.render_sources(entities),
        "transformation/models/contract.md": dbt.render_docs_blocks(entities),
        "docs/contract.md": documentation.render(entities),
        # No part of a contract, but written and checked with it: `tieout contract check` is red when it is old.
        ".env.example": render_example(),
    }
    for entity in entities:
        found[f"contracts/rendered/{entity.name}.schema.json"] = jsonschema.render(entity)
        found[f"contracts/rendered/{entity.name}.sql"] = postgres.render(entity)
    return found


def write_all(entities: Sequence[Entity], checkout: Path) -> list[str]:
    """Write every rendered file that is not as the contracts say; return their paths."""
    texts = rendered(entities)
    stale = find_stale(entities, checkout)
    for path in stale:
        target = checkout / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(texts[path], encoding="utf-8")
    return stale


def find_stale(entities: Sequence[Entity], checkout: Path) -> list[str]:
    """Return the paths of rendered files that are missing or not as the contracts say."""

    def is_stale(path: str, text: str) -> bool:
        target = checkout / path
        return not target.exists() or target.read_text(encoding="utf-8") != text

    return [path for path, text in rendered(entities).items() if is_stale(path, text)]
