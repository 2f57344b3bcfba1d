"""What may change in a contract while events flow, and what is refused."""

from dataclasses import dataclass

from contracts.model import Entity, Field

# Parts of an entity that rows and commits already made stand on.
FIXED = {
    "key": "the key",
    "statuses": "the statuses",
    "event_time": "the event's time",
    "amount": "the field that is money",
    "currency": "the field with the currency",
    "identity": "the identity",
    "message_key": "the field that partitions go by",
    "bronze": "the name of the lake's table",
    "dead_letters": "the name of the table of dead letters",
    "duplicates": "the name of the table of duplicates",
    "daily": "the name of the daily totals",
}


# Parts of a field that consumers go by.
PARTS = {
    "type": "type",
    "postgres_type": "column type",
    "stored_as": "column",
    "structural": "place among the structural fields",
    "personal": "data class",
}


@dataclass(frozen=True)
class Evolution:
    """The way from one contract to the next.

    Attributes:
        added: optional fields that the old one does not have.
        loosened: codes of rules that are gone or have another condition: silver no longer holds rows to the old one.
        refused: why it cannot be gone.
    """

    old: Entity
    new: Entity
    added: tuple[Field, ...]
    loosened: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def changes_nothing(self) -> bool:
        """The two contracts judge and store alike."""
        return not self.added and self.old.rules == self.new.rules and self.old.fields == self.new.fields


def plan_evolution(old: Entity, new: Entity) -> Evolution:
    """Return what is to be done, and what speaks against it.

    Args:
        old: the contract in force.
        new: the contract as it is stated.
    """
    before = {field.name: field for field in old.fields}
    added = tuple(field for field in new.fields if field.name not in before)
    conditions = {rule.code: rule.sql for rule in new.rules}
    loosened = tuple(
        rule.code for rule in old.rules if rule.kind == "invalid" and rule.sql and conditions.get(rule.code) != rule.sql
    )
    refused = [*_refused_parts(old, new), *_refused_fields(old, new, added), *_refused_version(old, new)]
    return Evolution(old, new, added, loosened, tuple(refused))


def _refused_parts(old: Entity, new: Entity) -> list[str]:
    refused = [
        f"{said} changes from {getattr(old, part)} to {getattr(new, part)}: rows that are stored stand on it"
        for part, said in FIXED.items()
        if getattr(old, part) != getattr(new, part)
    ]
    if old.platform != new.platform:
        refused.append("platform.yaml changes: what all entities share is no part of an evolution")
    if (old.topic.name, old.topic.partitions) != (new.topic.name, new.topic.partitions):
        refused.append(
            "the topic's name or its partitions change: ./scripts/start.sh adds partitions, and never renames"
        )
    return refused


def _refused_fields(old: Entity, new: Entity, added: tuple[Field, ...]) -> list[str]:
    after = {field.name: field for field in new.fields}
    refused = []
    for field in old.fields:
        now = after.get(field.name)
        if now is None:
            refused.append(f"field {field.name} is taken away: consumers read its column")
            continue
        for part, said in PARTS.items():
            if getattr(field, part) != getattr(now, part):
                refused.append(
                    f"field {field.name} gets another {said}: {getattr(field, part)} becomes {getattr(now, part)}"
                )
        gone = sorted(set(field.enum or ()) - set(now.enum or ())) if now.enum else []
        if gone:
            refused.append(f"field {field.name} no longer takes {', '.join(gone)}: silver has such rows")
    for field in added:
        if field.structural:
            refused.append(f"field {field.name} is new and structural: every event of before would be malformed")
        if field.name in (*new.identity, *new.statuses.fields):
            refused.append(
                f"field {field.name} is new and in the identity or among the fields of status: hashes would change"
            )
    return refused


def _refused_version(old: Entity, new: Entity) -> list[str]:
    def parts(entity: Entity) -> tuple[int, ...]:
        return tuple(int(part) for part in entity.version.split("."))

    differs = (old.fields, old.rules) != (new.fields, new.rules)
    if differs and parts(new) <= parts(old):
        return [f"version {old.version} becomes {new.version}, which does not say that something changed: raise it"]
    return []
