"""What an entity's files contradict themselves in."""

from collections import Counter
from collections.abc import Iterator

from contracts.check import Document, Place, Problem
from contracts.check import property_place as _property
from contracts.model import Entity, Platform

# The columns with a role have one name for every entity, so that SQL can be written for all of them.
ROLES = {"amount": "amount", "currency": "currency", "status": "status", "event time": "occurred_at"}


def entity_problems(document: Document, entity: Entity, platform: Platform) -> Iterator[Problem]:
    """Yield what an entity contradicts itself in."""
    unknown = list(_unknown_fields(document, entity))
    if unknown:
        yield from unknown
        return
    yield from _roles(document, entity)
    yield from _lists(document, entity, platform)


def _field(entity: Entity, name: str) -> Place:
    return ["schema", 0, "properties", [field.name for field in entity.fields].index(name)]


def _unknown_fields(document: Document, entity: Entity) -> Iterator[Problem]:
    statuses, known = entity.statuses, {field.name for field in entity.fields}
    named = {
        "key": [entity.key],
        "messageKey": [entity.message_key],
        "identity": entity.identity,
        "statuses": [statuses.field, *statuses.fields],
        "money": [entity.amount, entity.currency],
        "eventTime": [entity.event_time],
    }
    for part, fields in named.items():
        for name in fields:
            if name not in known:
                what = f"{part} names {name}, and the event has no such field"
                yield document.problem(_property(document, part), what, "name one of its fields")


def _roles(document: Document, entity: Entity) -> Iterator[Problem]:
    roles = {
        "amount": entity.amount,
        "currency": entity.currency,
        "status": entity.statuses.field,
        "event time": entity.event_time,
    }
    for role, name in roles.items():
        if entity.stored(name) != ROLES[role]:
            what = f"the {role} {name} is stored as {entity.stored(name)}"
            repair = f"customProperties: {{property: storedAs, value: {ROLES[role]}}}"
            yield document.problem(_field(entity, name), what, repair)
    for name in (entity.key, *roles.values()):
        if not entity.field(name).structural:
            repair = "customProperties: {property: structural, value: true}"
            yield document.problem(_field(entity, name), f"{name} may be absent", repair)
    for field in entity.fields:
        if field.type == "timestamp" and field.name != entity.event_time:
            what, repair = (
                f"{field.name} is a second timestamp",
                f"only {entity.event_time} may be one: make it a string",
            )
            yield document.problem(_field(entity, field.name), what, repair)


def _lists(document: Document, entity: Entity, platform: Platform) -> Iterator[Problem]:
    identity, statuses = entity.identity, entity.statuses
    for name in sorted(set(identity) & set(statuses.fields)):
        what = f"{name} is in the identity and may differ between statuses"
        yield document.problem(_property(document, "identity"), what, "take it from one of the two lists")
    if entity.key not in identity:
        what = f"the key {entity.key} is not in the identity"
        yield document.problem(_property(document, "identity"), what, "add it")
    if set(statuses.all) != set(entity.field(statuses.field).enum or ()):
        what = "first and final are not the values that the field allows"
        yield document.problem(_property(document, "statuses"), what, "name each of its validValues once")
    if set(entity.field(entity.currency).enum or ()) != set(platform.currencies):
        what = "its currencies are not those of platform.yaml"
        yield document.problem(_field(entity, entity.currency), what, "validValues: all of them")
    for code, count in Counter(rule.code for rule in entity.rules).items():
        if count > 1:
            yield document.problem(["schema", 0], f"two rules have the code {code}", "give one of them another name")


def sample_problems(entity: Entity, samples: Document, contract: Document) -> Iterator[Problem]:
    """Yield rules without a sample, samples without a rule, and samples that do not break their rule alone."""
    from contracts.faults import fault_kinds, sound_event  # noqa: PLC0415  (they read entities, which are checked here)
    from contracts.reasons import reasons_of  # noqa: PLC0415  (heavy)

    stated = {rule.code: rule for rule in entity.rules if rule.stated}
    given = (samples.value or {}).get("breaks") or {}
    for code, rule in stated.items():
        if code not in given:
            number = [field.name for field in entity.fields].index(rule.field or "")
            yield contract.problem(
                ["schema", 0, "properties", number, "quality"], f"no sample breaks the rule {code}",
                f"add `{code}: [{{...}}]` to `breaks` of {samples.file.name}",
            )  # fmt: skip
    for code in given:
        if code not in {rule.code for rule in entity.rules if rule.scope == "event"}:
            yield samples.problem(
                ["breaks", code], f"there is no rule {code}", "name a rule of the contract, or take it out"
            )
            return
    if set(stated) - set(given):
        return
    found = reasons_of(entity, [sound_event(entity, samples.value)])[0]
    if found:
        yield samples.problem(["sound"], f"the sound sample breaks {', '.join(sorted(found))}", "mend its fields")
        return
    faults = fault_kinds(entity, samples.value)
    for code, changes in given.items():
        broken = [faults[code](sound_event(entity, samples.value), variant) for variant in range(len(changes))]
        for number, reasons in enumerate(reasons_of(entity, broken)):
            if reasons != {code}:
                what = f"breaks {', '.join(sorted(reasons))}" if reasons else "breaks nothing"
                yield samples.problem(
                    ["breaks", code, number], f"the sample {what}", f"it must break {code}, and nothing else"
                )
