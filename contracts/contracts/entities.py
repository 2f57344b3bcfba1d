"""Reads entities and the platform from their YAML files. `contracts.check` says where a file is wrong."""

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from contracts.check import contract_problems
from contracts.model import NUMBER_DECIMALS, Entity, Field, JsonLimits, Platform, Rule, Statuses, Topic
from core.errors import TieoutError
from core.layout import Layout, find_layout
from core.parts import Parts
from core.text import shown

PLATFORM_FILE = Path(__file__).with_name("platform.yaml")
# Another folder with contracts, instead of the checkout's.
VARIABLE = "TIEOUT_CONTRACTS"
FOLDER = Path(os.environ.get(VARIABLE) or Path(__file__).with_name("entities"))
CONTRACT = "contract.odcs.yaml"


class ContractError(TieoutError):
    """A contract cannot be used."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "nothing was started or written.", "mend the file, then ./scripts/tieout contract check")


def contract_file(name: str) -> Path:
    """Return the file of an entity's contract."""
    return FOLDER / name / CONTRACT


def entity_names() -> tuple[str, ...]:
    """Return the names of all entities: payments first, then by name."""
    names = sorted(path.parent.name for path in FOLDER.glob(f"*/{CONTRACT}"))
    return tuple(sorted(names, key=lambda name: name != "transactions"))


def is_no_entity(name: str) -> str:
    """Return what to say of a name that is none of an entity."""
    return f"{shown(name)} is no entity; there are {' and '.join(entity_names())}"


@cache
def load_platform() -> Platform:
    """Return what every entity shares."""
    return parse_platform(PLATFORM_FILE.read_text(encoding="utf-8"))


def in_force_file(name: str, layout: Layout) -> Path:
    """Return where a home keeps the contract that it judges events of an entity by."""
    return layout.state / "contracts" / f"{name}.odcs.yaml"


@cache
def load_entity(name: str) -> Entity:
    """Return an entity with the contract that is in force in this home; in a home that has none, as it is stated.

    A contract that is changed in the checkout is in force when `tieout contract evolve` has ended.

    Raises:
        FileNotFoundError: there is none of that name.
        ContractError: its contract cannot be read.
    """
    kept = in_force_file(name, find_layout())
    return _read(kept) if kept.is_file() else stated_entity(name)


def stated_entity(name: str) -> Entity:
    """Return an entity as its contract is stated in the checkout.

    Raises:
        FileNotFoundError: there is none of that name.
        ContractError: its contract cannot be read.
    """
    return _read(contract_file(name))


def stated_entities() -> tuple[Entity, ...]:
    """Return every entity as it is stated, payments first."""
    return tuple(stated_entity(name) for name in entity_names())


def _read(file: Path) -> Entity:
    text = file.read_text(encoding="utf-8")
    try:
        return parse_entity(text, load_platform())
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        found = contract_problems(file, text)
        raise ContractError(str(found[0]) if found else f"{file}: {type(error).__name__} {error}") from None


def readable_entities(parts: Parts) -> tuple[Entity, ...]:
    """Return every entity whose contract can be read, payments first; the parts keep the errors of the others."""
    found = []
    for name in entity_names():
        with parts.part(name):
            found.append(load_entity(name))
    return tuple(found)


@cache
def load_entities() -> tuple[Entity, ...]:
    """Return every entity, payments first."""
    return tuple(load_entity(name) for name in entity_names())


def lake_tables() -> tuple[str, ...]:
    """Return the names of the lake's tables, for each entity in the order in which a batch is committed."""
    return tuple(name for entity in load_entities() for name in entity.lake_tables)


def all_topics(entities: Iterable[Entity]) -> list[Topic]:
    """Return every topic: events, alerts and control totals."""
    found: dict[str, Topic] = {}
    for entity in entities:
        for topic in (entity.topic, *entity.platform.control_topics.values(), entity.alerts_topic):
            if topic is not None:
                found.setdefault(topic.name, topic)
    return list(found.values())


def parse_platform(text: str) -> Platform:
    """Return the platform that a YAML document states.

    Raises:
        KeyError: a part is not in the document.
    """
    document = yaml.safe_load(text)
    limits = document["jsonLimits"]
    return Platform(
        currencies=document["currencies"],
        unknown_currency_digits=document["unknownCurrencyDigits"],
        amount_integer_digits=document["amountIntegerDigits"],
        max_value_bytes=document["maxValueBytes"],
        json_limits=JsonLimits(limits["nestingLevels"], limits["numberDigits"], limits["keyCharacters"]),
        blanks=" || ".join(f"chr({point})" for point in document["blankCharacters"]),
        whole_value_rules=document["wholeValueRules"],
        history_rules=document["historyRules"],
        control_topics={
            sender: _topic(name, document["controlTopic"]) for sender, name in document["controlTopics"].items()
        },
        headers=document["headers"],
        delivery=tuple(_field(node) for node in document["delivery"]),
    )


def parse_entity(text: str, platform: Platform) -> Entity:
    """Return the entity that an ODCS document states.

    Args:
        text: the YAML document.
        platform: what it shares with the others.

    Raises:
        KeyError: a part that the platform needs is not in the document.
    """
    document = yaml.safe_load(text)
    (event,) = document["schema"]
    custom = _custom(event)
    name, statuses, money = event["name"], custom["statuses"], custom["money"]
    fields = tuple(_field(node) for node in event["properties"])
    rules = [Rule(code, "malformed", None, said, None, "event") for code, said in platform.whole_value_rules.items()]
    rules += [Rule(code, "invalid", None, said, None, "warehouse") for code, said in platform.history_rules.items()]
    for node, field in zip(event["properties"], fields, strict=True):
        rules += _derived_rules(field, platform, is_money=field.name == money["amount"])
        rules += [_stated_rule(quality, field, platform.blanks) for quality in node.get("quality", [])]
    tables = custom.get("tables", {})
    alerts = custom.get("alertsTopic")
    return Entity(
        name=name,
        version=document["version"],
        purpose=" ".join(document["description"]["purpose"].split()),
        platform=platform,
        fields=fields,
        rules=tuple(rules),
        key=custom["key"],
        statuses=Statuses(statuses["field"], statuses["first"], tuple(statuses["final"]), tuple(statuses["differing"])),
        event_time=custom["eventTime"],
        amount=money["amount"],
        currency=money["currency"],
        identity=tuple(custom["identity"]),
        message_key=custom["messageKey"],
        topic=_topic(event["physicalName"], custom["topic"]),
        alerts_topic=_topic(f"{event['physicalName']}.alerts", alerts) if alerts else None,
        bronze=f"raw_{name}",
        dead_letters=tables.get("deadLetters", f"dead_letter_queue_{name}"),
        duplicates=f"raw.{tables.get('duplicates', f'duplicate_{name}')}",
        indexes=tuple(tables.get("indexes", ())),
        daily=f"marts.{tables.get('daily', f'daily_{name}_totals')}",
        change_log=f"metadata.{tables['changeLog']}" if "changeLog" in tables else None,
    )


def _topic(name: str, settings: Mapping[str, Any]) -> Topic:
    config = {key: str(value) for key, value in settings.items() if key != "partitions"}
    return Topic(name, settings["partitions"], config)


def _custom(node: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["property"]: entry["value"] for entry in node.get("customProperties", [])}


def _enum(node: Mapping[str, Any]) -> tuple[str, ...] | None:
    for quality in node.get("quality", []):
        if quality.get("metric") == "invalidValues":
            return tuple(quality["arguments"]["validValues"])
    return None


def _field(node: Mapping[str, Any]) -> Field:
    custom = _custom(node)
    return Field(
        name=node["name"],
        type={"number": "decimal"}.get(node["logicalType"], node["logicalType"]),
        structural=custom.get("structural", False),
        personal=node.get("classification", "internal"),
        enum=_enum(node),
        max_length=node.get("logicalTypeOptions", {}).get("maxLength"),
        description=" ".join(node["description"].split()),
        example=node["examples"][0],
        postgres_type=node["physicalType"],
        stored_as=custom.get("storedAs", node["name"]),
    )


def _as_sql(implementation: str, blanks: str) -> str:
    """Return a rule as both databases run it.

    A text that begins with a visible ASCII character is not blank. That is asked first, in a CASE, of which both
    databases evaluate only what they need: a trim costs as much as all the other rules of an event together.
    """
    asked_first = r"case when ascii(\1) between 33 and 126 then true else length(trim(\1, {blanks})) > 0 end"
    return re.sub(r"length\(trim\((.+), \{blanks\}\)\) > 0", asked_first, implementation).replace("{blanks}", blanks)


def _stated_rule(node: Mapping[str, Any], field: Field, blanks: str) -> Rule:
    if node.get("metric") == "invalidValues":
        sql = f"{field.stored_as} in ({', '.join(repr(value) for value in field.enum or ())})"
    else:
        sql = _as_sql(node["implementation"], blanks)
    return Rule(node["name"], "invalid", field.name, " ".join(node["description"].split()), sql, "event", stated=True)


def _derived_rules(field: Field, platform: Platform, *, is_money: bool) -> list[Rule]:
    """Return the rules that follow from a field's type and limits."""
    name, code = field.name, field.name.upper()
    json_type = {"decimal": "number", "boolean": "boolean"}.get(field.type, "text")
    malformed = {f"{code}_TYPE": f"{name} is not a JSON {json_type}."}
    if field.structural:
        malformed = {f"{code}_MISSING": f"{name} is null or absent.", **malformed}
    if field.type == "decimal":
        most = (
            "than the currency has minor digits "
            f"({platform.unknown_currency_digits} for a currency outside this contract)"
            if is_money
            else f"than {NUMBER_DECIMALS}"
        )
        malformed[f"{code}_SCALE"] = (
            f"{name} has more significant digits behind the point {most}; zeros at the end do not count."
        )
        malformed[f"{code}_OVERFLOW"] = (
            f"{name} has more than {platform.amount_integer_digits} digits before the point."
        )
        malformed[f"{code}_INEXACT"] = (
            f"{name} is written with an exponent or with more digits than can be read exactly."
        )
    if field.type == "timestamp":
        malformed[f"{code}_FORMAT"] = (
            f"{name} is not ISO 8601 with a zone, is no date of the calendar, has more than six digits of a second, or "
            "lies outside the years 1 to 9999 in UTC."
        )
    rules = [Rule(code, "malformed", name, meaning, None, "event") for code, meaning in malformed.items()]
    if field.max_length:
        sql = f"coalesce(length({field.stored_as}), 0) <= {field.max_length}"
        meaning = f"{name} is longer than {field.max_length} characters."
        rules.append(Rule(f"{code}_TOO_LONG", "invalid", name, meaning, sql, "event"))
    return rules
