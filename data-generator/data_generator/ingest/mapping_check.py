"""Whether a mapping fits the contract of its entity."""

from collections.abc import Iterator

from pydantic import ValidationError

from contracts.model import Entity
from contracts.model import Field as EntityField
from data_generator.ingest.amounts import AmountForm
from data_generator.ingest.mapping_form import FieldSource, MappingForm
from data_generator.ingest.times import TimeForm


def disagreements(form: MappingForm, entity: Entity) -> Iterator[tuple[list[str | int], str, str]]:
    """Yield where a mapping does not fit the contract: the place, what is wrong, and what to do."""
    known = {field.name: field for field in entity.fields}
    for name, source in form.fields.items():
        path: list[str | int] = ["fields", name]
        if name not in known:
            yield path, f"{entity.name} have no field {name}", f"the fields are {', '.join(known)}"
            continue
        yield from _field_disagreements(path, known[name], source, entity)
    for name, field in known.items():
        if field.structural and name not in form.fields:
            yield ["fields"], f"the field {name} comes from nowhere, and every event needs it", f"add `{name}:`"
    if form.status_at is not None:
        yield from _written(["status_at"], form.status_at, TimeForm)


def _field_disagreements(
    path: list[str | int], field: EntityField, source: FieldSource, entity: Entity
) -> Iterator[tuple[list[str | int], str, str]]:
    name = field.name
    if source.hash_of is not None and name != entity.key:
        yield [*path, "hash_of"], f"hash_of makes ids, and {name} is none", f"use it for {entity.key}"
    if field.type == "decimal":
        yield from _written(path, source, AmountForm)
    elif field.type == "timestamp":
        yield from _written(path, source, TimeForm)
    elif source.written:
        yield [*path, "written"], f"{name} is neither an amount nor a time", "take `written:` out"
    results = [*((source.map or {}).values()), source.otherwise, source.constant]
    for value in (each for each in results if each is not None):
        if isinstance(value, bool) != (field.type == "boolean"):
            kind = "true or false" if field.type == "boolean" else "a text"
            yield path, f"{name} is {kind}, and {value!r} is not", "write true or false without quotes, texts in quotes"
        elif field.enum is not None and value not in field.enum:
            yield path, f"{value} is no value of {name}", f"one of {', '.join(field.enum)}"


def _written(
    path: list[str | int], source: FieldSource, form: type[AmountForm] | type[TimeForm]
) -> Iterator[tuple[list[str | int], str, str]]:
    try:
        form(**source.written)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        keys = ", ".join(form.model_fields)
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = f"there is no key {first['loc'][0]}"
        yield [*path, "written", *first["loc"]], f"{path[-1]}: {what}", f"`written:` has {keys}"
