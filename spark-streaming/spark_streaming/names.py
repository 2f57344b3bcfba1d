"""How an entity is named to people, and in the lake. Payments are not: they were there first, and keep their names."""

from contracts.model import PAYMENTS, Entity


def table_name(role: str, entity: Entity) -> str:
    """Return what logs, errors and the lake's transactions call a table: bronze, or bronze_refunds."""
    return role if entity.name == PAYMENTS else f"{role}_{entity.name}"


def prefix(entity: Entity) -> str:
    """Return what a line of the log begins with."""
    return "" if entity.name == PAYMENTS else f"{entity.name} "


def option(entity: Entity) -> str:
    """Return what a command needs, to be about this entity."""
    return "" if entity.name == PAYMENTS else f"--entity {entity.name} "
