"""The dbt project as hashes: whether it must be parsed again, built again, and which models' rows are out of date."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CALLS = re.compile(r"\b(\w+)\(")
COMMENTS = re.compile(r"\{#.*?#\}", re.DOTALL)
# What these macros do is bookkeeping: no row of a mart hangs on it.
NOT_ABOUT_ROWS = "macros/record.sql"
# Settings of a model that may stand outside of its own file and decide what its table holds.
CONFIG = ("materialized", "incremental_strategy", "unique_key", "merge_update_columns", "meta", "schema")
LOGGED = "merge_logged"


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
    """Return a hash of all that can decide what marts hold; another one means that a build is due.

    Comments, descriptions and tests are left out. It is read from the files, so that nothing new costs no dbt.
    """
    digest = hashlib.sha256()
    for folder in ("models", "macros"):
        for path in sorted((project / folder).rglob("*.sql")):
            digest.update(f"{path.relative_to(project)}\0{_code(path.read_text(encoding='utf-8'))}\0".encode())
    for path in sorted((project / "seeds").glob("*.csv")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    for path in sorted((project / "models").rglob("*.yml")):
        digest.update(repr(_types(path)).encode())
    return digest.hexdigest()


def model_hashes(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each model that stores rows, a hash of what decides them: another one asks for new rows.

    It covers the model's own code, its columns' types where they are enforced, the macros that it uses, the views that
    it reads with all of that, seeds, and the stored models that it reads, as one changed row there may be one here.
    Not the logged fact: what reads it is kept by the change log, and a fact made anew proves that the log goes on
    (`log_what_differs` in transformation/macros/merge_logged.sql). A view has no rows, so it has no hash of its own.

    Args:
        manifest: dbt's manifest.json.
    """
    nodes = manifest["nodes"]

    @cache
    def hash_of(key: str) -> str:
        node = nodes[key]
        if node["resource_type"] == "seed":
            return str(node["checksum"]["checksum"]) + repr(node["config"].get("column_types"))
        reads = [parent for parent in node["depends_on"]["nodes"] if parent in nodes and not _is_logged(nodes[parent])]
        own = [_code(node["raw_code"]), repr([node["config"].get(name) for name in CONFIG]), _columns(node)]
        return _digest(*own, *_macros(manifest, node), *(f"{parent} {hash_of(parent)}" for parent in sorted(reads)))

    return {
        node["name"]: hash_of(key)
        for key, node in sorted(nodes.items())
        if node["resource_type"] == "model" and node["config"]["materialized"] != "view"
    }


def _is_logged(node: Mapping[str, Any]) -> bool:
    return bool(node["config"].get("incremental_strategy") == LOGGED)


def _macros(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> list[str]:
    """Return the code of the project's macros that a model uses, also those that another one uses for it.

    Found by their calls in the text: dbt itself notes only those that it comes by while it parses, and so none that
    stands behind `is_incremental()`.
    """
    own = {
        macro["name"]: macro["macro_sql"]
        for macro in manifest["macros"].values()
        if macro["package_name"] == node["package_name"] and macro["path"] != NOT_ABOUT_ROWS
    }
    found: dict[str, str] = {}
    waiting = {*CALLS.findall(node["raw_code"]), f"get_incremental_{node['config'].get('incremental_strategy')}_sql"}
    while waiting := (waiting & own.keys()) - found.keys():
        found |= {name: own[name] for name in waiting}
        waiting = {call for name in waiting for call in CALLS.findall(own[name])}
    return [f"{name} {_code(code)}" for name, code in sorted(found.items())]


def _columns(node: Mapping[str, Any]) -> str:
    if not node["config"].get("contract", {}).get("enforced"):
        return ""
    columns = [(each["name"], each["data_type"], each["constraints"]) for each in node["columns"].values()]
    return json.dumps([columns, node["constraints"]])


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _code(text: str) -> str:
    lines = (line.strip() for line in COMMENTS.sub("", text).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def _types(path: Path) -> list[tuple[Any, ...]]:
    document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return [
        (model["name"], model.get("constraints"), column["name"], column.get("data_type"), column.get("constraints"))
        for model in document.get("models", [])
        for column in model.get("columns", [])
    ]
