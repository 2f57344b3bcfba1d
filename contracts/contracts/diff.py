"""What changes between two versions of the contract, and which changes break those who read."""

from dataclasses import asdict, dataclass

from contracts.entities import all_topics
from contracts.model import Entity, Field


@dataclass(frozen=True)
class Change:
    """One difference between an old contract and a new one.

    Attributes:
        breaks: True where a consumer or producer of the old version can fail under the new one.
        subject: the field, rule, currency or topic that changed.
        text: what changed.
    """

    breaks: bool
    subject: str
    text: str


def _compare_field(old: Field, new: Field) -> list[Change]:
    changes = []
    if old.type != new.type or old.postgres_type != new.postgres_type:
        changes.append(
            Change(True, new.name, f"type {old.type} ({old.postgres_type}) became {new.type} ({new.postgres_type})")
        )
    if old.stored_as != new.stored_as:
        changes.append(Change(True, new.name, f"column {old.stored_as} became {new.stored_as}"))
    if old.structural != new.structural:
        changes.append(
            Change(
                True,
                new.name,
                "became structural" if new.structural else "is no longer structural: readers may see null",
            )
        )
    if old.enum != new.enum:
        before, after = set(old.enum or ()), set(new.enum or ())
        changes += [Change(True, new.name, f"value {value} is no longer allowed") for value in sorted(before - after)]
        changes += [
            Change(True, new.name, f"value {value} is new: readers may not know it") for value in sorted(after - before)
        ]
    if (old.max_length or 10**9) != (new.max_length or 10**9):
        shorter = (new.max_length or 10**9) < (old.max_length or 10**9)
        changes.append(Change(shorter, new.name, f"longest text {old.max_length} became {new.max_length}"))
    if old.personal != new.personal:
        changes.append(Change(True, new.name, f"data class {old.personal} became {new.personal}"))
    if old.description != new.description:
        changes.append(Change(False, new.name, "description changed"))
    return changes


def _compare_fields(old: Entity, new: Entity) -> list[Change]:
    before, after = {f.name: f for f in old.fields}, {f.name: f for f in new.fields}
    changes = [Change(True, name, "field removed") for name in before if name not in after]
    changes += [
        Change(f.structural, f.name, "structural field added" if f.structural else "field added")
        for f in new.fields
        if f.name not in before
    ]
    for name, field in after.items():
        if name in before:
            changes += _compare_field(before[name], field)
    return changes


def _compare_rules(old: Entity, new: Entity) -> list[Change]:
    before, after = {r.code: r for r in old.rules}, {r.code: r for r in new.rules}
    changes = [Change(True, code, "reason code removed") for code in before if code not in after]
    known = {None, *(field.name for field in old.fields)}
    for code, rule in after.items():
        if code not in before:
            # No event of before has a field that is new: none of them fails its rules.
            breaks = rule.field in known
            changes.append(Change(breaks, code, f"rule added{': events that passed may fail' if breaks else ''}"))
    for code in before.keys() & after.keys():
        if (before[code].sql, before[code].kind, before[code].scope) != (
            after[code].sql,
            after[code].kind,
            after[code].scope,
        ):
            changes.append(Change(True, code, "rule changed"))
        elif before[code].meaning != after[code].meaning:
            changes.append(Change(False, code, "meaning reworded"))
    return changes


def _compare_settings(old: Entity, new: Entity) -> list[Change]:
    changes = []
    for code in sorted(old.currencies.keys() | new.currencies.keys()):
        before, after = old.currencies.get(code), new.currencies.get(code)
        if before != after:
            changes.append(Change(True, f"currency {code}", f"minor digits {before} became {after}"))
    changes += _compare_topics(old, new)
    for header in sorted(old.platform.headers.keys() ^ new.platform.headers.keys()):
        gone = header in old.platform.headers
        changes.append(Change(gone, f"header {header}", "removed" if gone else "added"))
    for limit in ("max_value_bytes", "amount_integer_digits", "unknown_currency_digits"):
        before, after = getattr(old.platform, limit), getattr(new.platform, limit)
        if before != after:
            changes.append(Change(after < before, limit.replace("_", " "), f"{before} became {after}"))
    for limit, before in asdict(old.platform.json_limits).items():
        after = getattr(new.platform.json_limits, limit)
        if before != after:
            changes.append(Change(after < before, limit.replace("_", " "), f"{before} became {after}"))
    if _columns(old) != _columns(new):
        changes.append(Change(True, "delivery", "the columns that lake and warehouse add to an event changed"))
    return changes


def _columns(entity: Entity) -> list[tuple[str, str]]:
    return [(field.name, field.postgres_type) for field in entity.delivery]


def _compare_topics(old: Entity, new: Entity) -> list[Change]:
    """Another number of partitions breaks: a customer's events would no longer follow each other in one of them."""
    changes = []
    topics = [{topic.name: topic for topic in all_topics([each])} for each in (old, new)]
    for key in sorted(topics[0].keys() | topics[1].keys()):
        before, after = (found.get(key) for found in topics)
        if before is None or after is None:
            changes.append(Change(after is None, f"topic {key}", "removed" if after is None else "added"))
        elif before != after:
            breaks = (before.name, before.partitions) != (after.name, after.partitions)
            changes.append(Change(breaks, f"topic {after.name}", "name, partitions or settings changed"))
    return changes


def compare(old: Entity, new: Entity) -> list[Change]:
    """Return every change from old to new, those that break someone first."""
    changes = _compare_fields(old, new) + _compare_rules(old, new) + _compare_settings(old, new)
    return sorted(changes, key=lambda change: not change.breaks)


def version_is_honest(old: Entity, new: Entity, changes: list[Change]) -> bool:
    """Return whether the new version number says what the changes are.

    A breaking change needs a higher major version; any other change needs a higher version (semantic versioning 2.0).
    """

    def parts(entity: Entity) -> tuple[int, ...]:
        return tuple(int(part) for part in entity.version.split("."))

    if any(change.breaks for change in changes):
        return parts(new)[0] > parts(old)[0]
    return parts(new) > parts(old) if changes else parts(new) >= parts(old)
