"""Everything that is written out of the contract: which file, and by which renderer."""

from collections.abc import Callable, Mapping
from pathlib import Path

from contracts.model import Contract
from contracts.render import dbt, documentation, jsonschema, postgres, spark
from core.settings import render_example

RENDERERS: Mapping[str, Callable[[Contract], str]] = {
    "contracts/rendered/transaction.schema.json": jsonschema.render,
    "contracts/rendered/spark.json": spark.render,
    "contracts/rendered/postgres.sql": postgres.render,
    "transformation/models/staging/_sources.yml": dbt.render_sources,
    "transformation/models/contract.md": dbt.render_docs_blocks,
    "docs/contract.md": documentation.render,
    # No part of the contract, but written and checked with it: `./scripts/tieout contract check` is red when it is old.
    ".env.example": lambda _: render_example(),
}


def write_all(contract: Contract, checkout: Path) -> list[str]:
    """Write every rendered file that is not as the contract says; return their paths."""
    stale = find_stale(contract, checkout)
    for path in stale:
        target = checkout / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(RENDERERS[path](contract), encoding="utf-8")
    return stale


def find_stale(contract: Contract, checkout: Path) -> list[str]:
    """Return the paths of rendered files that are missing or not as the contract says."""

    def is_stale(path: str) -> bool:
        target = checkout / path
        return not target.exists() or target.read_text(encoding="utf-8") != RENDERERS[path](contract)

    return [path for path in RENDERERS if is_stale(path)]
