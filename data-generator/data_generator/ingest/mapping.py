"""A mapping: which column, constant, expression or lookup each field of an event comes from, as YAML states it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from contracts.check import Document, unreadable
from contracts.entities import FOLDER, entity_names, load_entity
from contracts.model import Entity
from data_generator.ingest.errors import MappingError
from data_generator.ingest.expressions import Expression
from data_generator.ingest.lookups import load_lookup
from data_generator.ingest.mapping_check import disagreements
from data_generator.ingest.mapping_form import MappingForm

# Part of every feed's id: raise it when the same mapping makes other events of the same row.
VERSION: Final = 1
MAPPINGS: Final = "mappings"


@dataclass(frozen=True)
class FileMapping:
    """A mapping, ready for use.

    Attributes:
        name: of the mapping.
        file: where it is stated.
        entity: what the events are.
        form: what it states.
        lookups: the values that each field looks up, by field.
        sha256: of what it states, its comments and the order of its keys apart.
    """

    name: str
    file: Path
    entity: Entity
    form: MappingForm
    lookups: Mapping[str, Mapping[str, str]]
    sha256: str

    @property
    def asked(self) -> str:
        """How it is asked for: the name of a shipped one, the full path of another."""
        return self.name if mapping_files().get(self.name) == self.file else str(self.file.resolve())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs, each once."""
        sources = [*self.form.fields.values(), *([self.form.status_at] if self.form.status_at else [])]
        found = [column for source in sources for column in source.columns]
        return tuple(dict.fromkeys([*found, *(Expression(self.form.leave_out).columns if self.form.leave_out else ())]))

    @property
    def is_keyed(self) -> bool:
        """Whether an expression of it needs the secret key of card numbers."""
        texts = [self.form.leave_out, *(source.expression for source in self.form.fields.values())]
        return any(Expression(text).is_keyed for text in texts if text is not None)


def mapping_files() -> dict[str, Path]:
    """Return the shipped mappings by name."""
    return {
        file.stem: file for entity in entity_names() for file in sorted((FOLDER / entity / MAPPINGS).glob("*.yaml"))
    }


def find_mapping(asked: str) -> FileMapping:
    """Return a mapping by the name of a shipped one, or by the path of a file.

    Raises:
        MappingError: there is none, or it is wrong.
    """
    shipped = mapping_files()
    if asked in shipped:
        return read_mapping(shipped[asked], shipped[asked].parents[1].name)
    file = Path(asked)
    if file.suffix in {".yaml", ".yml"} or "/" in asked:
        return read_mapping(file)
    raise MappingError(
        f"--as {asked}", "there is no mapping of that name", f"one of {', '.join(shipped)}, or the path of a YAML file"
    )


def read_mapping(file: Path, entity: str = "transactions") -> FileMapping:
    """Return the mapping of a YAML file.

    Raises:
        MappingError: it is not there or wrong, with the line.
    """
    try:
        text = file.read_text(encoding="utf-8")
        document = Document(file, text)
    except OSError as error:
        raise MappingError(str(file), error.strerror or str(error), "name a file that is there") from None
    except UnicodeDecodeError:
        raise MappingError(str(file), "it is no UTF-8", "save it as UTF-8") from None
    except yaml.YAMLError as error:
        problem = unreadable(file, error)
        raise MappingError(f"{file}:{problem.line}", problem.what, problem.repair) from None
    held = document.value if isinstance(document.value, dict) else {}
    stated = held.pop("entity", entity)
    if stated not in entity_names():
        raise _wrong(document, ["entity"], f"there is no entity {stated}", f"one of {', '.join(entity_names())}")
    try:
        form = MappingForm(**{str(key): value for key, value in held.items()})
    except ValidationError as error:
        raise _first_error(document, error) from None
    kind = load_entity(stated)
    for path, what, repair in disagreements(form, kind):
        raise _wrong(document, path, what, repair)
    lookups, hashes = {}, {}
    for name, source in form.fields.items():
        if source.lookup is not None:
            place = file.parent / source.lookup.file
            lookups[name], hashes[name] = load_lookup(place, source.lookup.key_column, source.lookup.value_column)
    stated_form = form.model_dump(mode="json", exclude={"about", "name"})
    hashed = json.dumps([VERSION, stated, stated_form, hashes], sort_keys=True)
    return FileMapping(file.stem, file, kind, form, lookups, sha256(hashed.encode()).hexdigest())


def _wrong(document: Document, path: list[str | int], what: str, repair: str) -> MappingError:
    problem = document.problem(path, what, repair)
    return MappingError(f"{document.file}:{problem.line}", what, repair)


def _first_error(document: Document, error: ValidationError) -> MappingError:
    first = error.errors(include_url=False, include_context=False)[0]
    kinds = ("str", "bool", "dict", "list", "function-after", "LookupForm")
    path = [each for each in first["loc"] if not (isinstance(each, str) and each.startswith(kinds))]
    at = ".".join(map(str, path)) or "the mapping"
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what, repair = "there is no such key", "take it out, or write it as docs/how-to/bring-your-own-data.md does"
    elif first["type"] == "missing":
        what, repair = "it is missing", "add it, as the shipped mappings do"
    elif first["type"] in {"string_type", "bool_type"}:
        repair = "write the value in quotes"
    else:
        repair = "mend that line"
    return _wrong(document, list(path), f"{at}: {what[:1].lower()}{what[1:]}", repair)
