"""The dbt project as a hash: when what it computes changed, the marts' history must be computed anew."""

import hashlib
import re
from pathlib import Path
from typing import Any

import yaml

COMMENTS = re.compile(r"\{#.*?#\}|/\*.*?\*/", re.DOTALL)


def files_digest(project: Path) -> str:
    """Return a digest over every file that dbt parses: another one means that the project must be parsed anew."""
    digest = hashlib.sha256()
    for folder in ("macros", "models", "seeds", "tests"):
        for path in sorted((project / folder).rglob("*")):
            if path.suffix in {".sql", ".yml", ".md", ".csv"}:
                digest.update(f"{path.relative_to(project)}\0".encode() + path.read_bytes())
    digest.update((project / "dbt_project.yml").read_bytes() + (project / "profiles.yml").read_bytes())
    return digest.hexdigest()


def project_hash(project: Path) -> str:
    """Return a hash of what decides the marts' content: models, macros, seeds, and the columns' types.

    Comments, descriptions and tests are left out: changing one asks nobody for a full refresh.
    """
    digest = hashlib.sha256()
    for folder in ("models", "macros"):
        for path in sorted((project / folder).rglob("*.sql")):
            digest.update(f"{path.relative_to(project)}\0{_code(path)}\0".encode())
    for path in sorted((project / "seeds").glob("*.csv")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    for path in sorted((project / "models").rglob("*.yml")):
        digest.update(repr(_types(path)).encode())
    return digest.hexdigest()


def _code(path: Path) -> str:
    text = COMMENTS.sub("", path.read_text(encoding="utf-8"))
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def _types(path: Path) -> list[tuple[Any, ...]]:
    document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return [
        (model["name"], model.get("constraints"), column["name"], column.get("data_type"), column.get("constraints"))
        for model in document.get("models", [])
        for column in model.get("columns", [])
    ]
