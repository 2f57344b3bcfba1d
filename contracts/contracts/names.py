"""What an entity's names may be: those of its folder, columns, tables and topics."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.check import Document, Place, Problem, property_place
from contracts.model import Entity
from core.layout import CHECKOUT

MODELS = CHECKOUT / "transformation" / "models"
# PostgreSQL cuts longer names short. dbt keeps a table beside the one it makes, and needs room for the end of its name.
MOST_BYTES = 63
MOST_BYTES_OF_MODEL = MOST_BYTES - len("__dbt_backup")
# Kafka's own limit, for the name of a folder.
MOST_BYTES_OF_TOPIC = 249

_NAME = re.compile("[a-z][a-z0-9_]*")
_CODE = re.compile("[A-Z][A-Z0-9_]*")
_TOPIC = re.compile("[A-Za-z0-9._-]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What the platform calls its own; a test compares them with the files that make them.
OWN_TABLES = frozenset({"raw.dead_letters", "raw.redrive_payloads", "raw.refused_rows"})
OWN_FOLDERS = frozenset({"batch_files", "checkpoints", "docs-site", "processed", "raw", "samples", "undelivered"})
OWN_COLUMNS = _words(
    """
    arrived_at conflict content_hash contract_version day headers identity_hash known_at load_id message_key month
    offset partition raw_value reasons redrive_of run seq status_at topic topic_id unknown_fields
    utc_offset_minutes year
    """
)
# Words that PostgreSQL or DuckDB takes for its own where a column is named without quotes.
RESERVED = _words(
    """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
    collation column concurrently constraint create cross current_catalog current_date current_role current_schema
    current_time current_timestamp current_user default deferrable desc describe distinct do else end except false
    fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join
    lambda lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or
    order outer overlaps pivot placing primary qualify references returning right select session_user show similar
    some summarize symmetric system_user table tablesample then to trailing true union unique unpivot user using
    variadic verbose when where window with
    """
)


@dataclass(frozen=True)
class Name:
    """A name that follows from a contract.

    Attributes:
        text: the name alone.
        space: what shares its space of names: raw, models, lake or topics.
        place: where the contract states it.
        most_bytes: how long it may be.
    """

    text: str
    space: str
    place: Place
    most_bytes: int = MOST_BYTES

    def __str__(self) -> str:
        return {"raw": "table or index raw.", "models": "model ", "lake": "table of the lake ", "topics": "topic "}[
            self.space
        ] + self.text

    @property
    def key(self) -> tuple[str, str]:
        """Two names of one key cannot both be: Kafka takes a point and an underscore for the same."""
        return self.space, self.text.replace(".", "_") if self.space == "topics" else self.text


def names_of(document: Document, entity: Entity) -> list[Name]:
    """Return every name that follows from an entity's contract, of tables, indexes, models and topics."""
    event: Place = ["schema", 0, "name"]
    tables = property_place(document, "tables")

    def given(part: str) -> Place:
        return [*tables, part] if document.has([*tables, part]) else event

    raw: list[tuple[str, Place]] = []
    for table, place in (
        (entity.silver, event),
        (entity.rejected, event),
        (entity.duplicates, given("duplicates")),
    ):
        short = table.removeprefix("raw.")
        raw += [(short, place), (f"{short}_load", place), (f"{short}_redrive_of", place)]
    raw += [(f"{entity.name}_{each}", event) for each in ("coordinates", "statuses", "occurred_at")]
    raw += [(f"{entity.name}_{each}", given("indexes")) for each in entity.indexes]
    models = [(f"stg_{entity.name}", event), (entity.fact.removeprefix("marts."), event)]
    models.append((entity.daily.removeprefix("marts."), given("daily")))
    lake = [(entity.bronze, event), (entity.dead_letters, given("deadLetters"))]
    topics: Sequence[str] = [topic.name for topic in (entity.topic, entity.alerts_topic) if topic]
    return [
        *(Name(text, "raw", place) for text, place in raw),
        *(Name(text, "models", place, MOST_BYTES_OF_MODEL) for text, place in models),
        *(Name(text, "lake", place) for text, place in lake),
        *(Name(text, "topics", ["schema", 0, "physicalName"], MOST_BYTES_OF_TOPIC) for text in topics),
    ]


def name_problems(document: Document, entity: Entity, models: Path = MODELS) -> Iterator[Problem]:
    """Yield names of an entity that nothing could be called, or that are the platform's own.

    Args:
        document: the contract.
        entity: as it states it.
        models: the folder of dbt's models.
    """
    folder = document.file.parent.name
    if folder != entity.name:
        what = f"the folder is {folder}, and the event's name is {entity.name}"
        yield document.problem(["schema", 0, "name"], what, f"`name: {folder}`, or rename the folder")
    if not _NAME.fullmatch(entity.name):
        what = f"the event's name {entity.name!r} cannot name a table"
        yield document.problem(["schema", 0, "name"], what, "small letters, digits and _, a letter first")
        return
    own = {
        *(("raw", table.removeprefix("raw.")) for table in OWN_TABLES),
        *(("lake", folder) for folder in OWN_FOLDERS),
        *(("topics", topic.name.replace(".", "_")) for topic in entity.platform.control_topics.values()),
    }
    for name in names_of(document, entity):
        legal = _TOPIC if name.space == "topics" else _NAME
        if not legal.fullmatch(name.text) or name.text in {".", ".."}:
            letters = "letters, digits, . _ and -" if name.space == "topics" else "small letters, digits and _"
            yield document.problem(name.place, f"{name} is no name", f"{letters} only")
        elif len(name.text.encode()) > name.most_bytes:
            what = f"{name} has {len(name.text.encode())} bytes, and {name.most_bytes} are the most"
            yield document.problem(name.place, what, "take a shorter name")
        elif name.key in own or (name.space == "topics" and name.text.startswith("__")):
            yield document.problem(name.place, f"{name} is the platform's own", "take another name")
        elif name.space == "models" and _is_of_others(models, name.text, entity):
            what = f"{name} is there already, and does not read {entity.name}"
            yield document.problem(name.place, what, "take another name")
    yield from _columns(document, entity)


def _is_of_others(models: Path, model: str, entity: Entity) -> bool:
    """Say whether there is a model of a name that has nothing to do with the entity.

    With a change log a model need not name what it sums.
    """
    return entity.change_log is None and any(
        entity.name not in file.read_text(encoding="utf-8") for file in models.rglob(f"{model}.sql")
    )


def _columns(document: Document, entity: Entity) -> Iterator[Problem]:
    """Yield fields that cannot be columns, and codes that cannot be conditions of a table."""
    seen: dict[str, str] = {}
    for number, field in enumerate(entity.fields):
        place: Place = ["schema", 0, "properties", number, "name"]
        column = field.stored_as
        if not _NAME.fullmatch(column) or len(column) > MOST_BYTES or column in RESERVED:
            what = f"{field.name} cannot be the column {column}"
            repair = f"small letters, digits and _, {MOST_BYTES} at most, no word of SQL"
            yield document.problem(place, what, repair)
        elif column in OWN_COLUMNS:
            what = f"{field.name} would be the column {column}, which is the platform's own"
            yield document.problem(place, what, "take another name")
        elif column in seen:
            what = f"{field.name} and {seen[column]} would be one column, {column}"
            yield document.problem(place, what, "take another name")
        seen.setdefault(column, field.name)
    for rule in entity.rules:
        if rule.stated and not (_CODE.fullmatch(rule.code) and len(rule.code) <= MOST_BYTES):
            at = [field.name for field in entity.fields].index(rule.field or "")
            repair = f"capitals, digits and _, {MOST_BYTES} at most"
            yield document.problem(["schema", 0, "properties", at, "quality"], f"{rule.code} is no reason code", repair)


def shared_names(stated: Iterable[tuple[Document, Entity]]) -> Iterator[Problem]:
    """Yield names that two entities would have."""
    owners: dict[tuple[str, str], str] = {}
    for document, entity in stated:
        mine = {name.key: name for name in names_of(document, entity)}
        for key, name in mine.items():
            if key in owners:
                what = f"{name} is a name of {owners[key]} too"
                yield document.problem(name.place, what, "give the entity names of its own")
            owners.setdefault(key, entity.name)
