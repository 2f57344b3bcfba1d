"""The contract for PostgreSQL: the columns of silver, their checks, and the order of COPY."""

from contracts.model import Contract, Field, Rule


def column(field: Field, contract: Contract) -> str:
    """Return the definition of a field's column in raw.transactions."""
    missing = any(rule.code == f"{field.name.upper()}_MISSING" for rule in contract.rules)
    required = field.structural or field.enum is not None or (missing and field.name != "failure_reason")
    not_null = " not null" if required else ""
    return f"{field.stored_as} {field.postgres_type}{not_null}"


def checks(contract: Contract) -> list[Rule]:
    """Return the rules that hold for every row of raw.transactions, whatever came before it."""
    return [rule for rule in contract.rules if rule.sql and rule.kind == "invalid"]


def copy_order(contract: Contract) -> tuple[str, ...]:
    """Return the event's columns in the order in which they are copied."""
    return tuple(field.stored_as for field in contract.fields)


def render(contract: Contract) -> str:
    """Return the event's part of raw.transactions as DDL, and the order of COPY as a comment.

    The migrations hold their own frozen text; a test compares the migrated table with this one.
    """
    columns = [column(field, contract) for field in contract.fields]
    named = [
        f"constraint {rule.code.lower()} check ({rule.sql.replace('arrived_at', 'known_at')})"
        for rule in checks(contract)
        if rule.sql
    ]
    body = ",\n    ".join([*columns, "known_at timestamptz not null", *named])
    order = ", ".join(copy_order(contract))
    return f"-- Contract {contract.version}. COPY order: {order}\ncreate table transactions (\n    {body}\n);\n"
