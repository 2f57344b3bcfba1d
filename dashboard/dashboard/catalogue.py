"""What each mart and column means, as the dbt project has written it beside the model that makes it."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from dashboard.meanings import MODELS, meanings

_DOC = re.compile(r"{{ *doc\('(\w+)'\) *}}")


@dataclass(frozen=True)
class Column:
    """A column of a mart: its name, its type in PostgreSQL and its meaning."""

    name: str
    data_type: str
    meaning: str


@dataclass(frozen=True)
class Mart:
    """A table or view of the schema marts, and what one row of it is."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def example(self) -> str:
        """A first look at it."""
        return f"select *\nfrom marts.{self.name}\nlimit 10;"


@functools.cache
def marts(models: Path = MODELS) -> tuple[Mart, ...]:
    """Return every mart that the project describes, by name."""
    found = []
    for path in sorted((models / "marts").glob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ()):
            columns = (
                Column(column["name"], column["data_type"], _said(column["description"])) for column in model["columns"]
            )
            found.append(Mart(model["name"], _said(model["description"]), tuple(columns)))
    return tuple(found)


def _said(text: str) -> str:
    return " ".join(_DOC.sub(lambda found: meanings().get(found[1], ""), text).split())
