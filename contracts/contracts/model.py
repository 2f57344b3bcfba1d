"""The contract as Python objects, read once from transaction.odcs.yaml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONTRACT_FILE = Path(__file__).with_name("transaction.odcs.yaml")

# What Spark's parser held a value to before the contract did: for documents of then, which `contract diff` reads.
BEFORE_LIMITS = {"nestingLevels": 1000, "numberDigits": 1000, "keyCharacters": 50000}

SPARK_TYPES = {
    "string": "STRING",
    "decimal": "DECIMAL(20,4)",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "integer": "BIGINT",
}


@dataclass(frozen=True)
class Field:
    """One field of the event, or one column of its delivery.

    Attributes:
        type: string, decimal, boolean, timestamp or integer.
        structural: null or absent makes the event malformed.
        personal: data-protection class (internal, pseudonymous or personal).
        enum: the values that are allowed, where there is such a list.
        max_length: the longest text, in characters, where there is a limit.
        stored_as: the column's name in lake and warehouse.
    """

    name: str
    type: str
    structural: bool
    personal: str
    enum: tuple[str, ...] | None
    max_length: int | None
    description: str
    example: object
    postgres_type: str
    stored_as: str

    @property
    def spark_type(self) -> str:
        """The column's type in the lake."""
        return SPARK_TYPES[self.type]


@dataclass(frozen=True)
class Rule:
    """One way for an event to be wrong.

    Attributes:
        code: stable reason code, the same word everywhere.
        kind: malformed (goes to the dead letters) or invalid (goes to the rejected transactions).
        field: the field it speaks of; None for the whole value.
        meaning: one sentence for people.
        sql: what must be true, for invalid rules that look at one event; NULL counts as broken.
        scope: event, or warehouse for rules that compare with what came before.
    """

    code: str
    kind: str
    field: str | None
    meaning: str
    sql: str | None
    scope: str


@dataclass(frozen=True)
class Topic:
    """A Kafka topic and its settings."""

    name: str
    partitions: int
    config: Mapping[str, str]

    @property
    def max_message_bytes(self) -> int:
        """The largest message that the broker takes."""
        return int(self.config["max.message.bytes"])


@dataclass(frozen=True)
class JsonLimits:
    """What a value may hold at most; beyond one of them it is malformed, whichever parser reads it.

    Attributes:
        nesting_levels: arrays and objects within each other, the event's own among them.
        number_digits: digits of one number, those of its fraction and exponent among them; a zero that stands alone
            before the point is none.
        key_characters: characters of one key, escapes resolved; one beyond U+FFFF counts as two.
    """

    nesting_levels: int
    number_digits: int
    key_characters: int


@dataclass(frozen=True)
class Contract:
    """The transaction contract."""

    version: str
    purpose: str
    fields: tuple[Field, ...]
    delivery: tuple[Field, ...]
    rules: tuple[Rule, ...]
    currencies: Mapping[str, int]
    unknown_currency_digits: int
    amount_integer_digits: int
    max_value_bytes: int
    json_limits: JsonLimits
    topics: Mapping[str, Topic]
    control_senders: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def control_topics(self) -> dict[str, Topic]:
        """The topic of control totals by its sender, the only user that may write it."""
        return {sender: self.topics[key] for sender, key in self.control_senders.items()}

    def field(self, name: str) -> Field:
        """Return the event's field of that name."""
        return next(f for f in self.fields if f.name == name)

    def rule(self, code: str) -> Rule:
        """Return the rule of that reason code."""
        return next(r for r in self.rules if r.code == code)


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


def _stated_rule(node: Mapping[str, Any], field: Field | None, blanks: str) -> Rule:
    custom = _custom(node)
    sql = _as_sql(node["implementation"], blanks) if "implementation" in node else None
    if field is not None and node.get("metric") == "invalidValues":
        sql = f"{field.stored_as} in ({', '.join(repr(value) for value in field.enum or ())})"
    return Rule(
        code=node["name"],
        kind=custom.get("kind", "invalid"),
        field=field.name if field else None,
        meaning=" ".join(node["description"].split()),
        sql=sql,
        scope=custom.get("scope", "event"),
    )


def _derived_rules(field: Field) -> list[Rule]:
    code, rules = field.name.upper(), []
    json_type = {"decimal": "number", "boolean": "boolean"}.get(field.type, "text")
    if field.structural:
        rules.append(
            Rule(f"{code}_MISSING", "malformed", field.name, f"{field.name} is null or absent.", None, "event")
        )
    rules.append(
        Rule(f"{code}_TYPE", "malformed", field.name, f"{field.name} is not a JSON {json_type}.", None, "event")
    )
    if field.max_length:
        sql = f"coalesce(length({field.stored_as}), 0) <= {field.max_length}"
        meaning = f"{field.name} is longer than {field.max_length} characters."
        rules.append(Rule(f"{code}_TOO_LONG", "invalid", field.name, meaning, sql, "event"))
    return rules


def parse_contract(text: str) -> Contract:
    """Return the contract that an ODCS document states.

    Args:
        text: the YAML document.

    Raises:
        KeyError: a part that the platform needs is not in the document.
    """
    document = yaml.safe_load(text)
    event, delivery = document["schema"]
    custom = _custom(event)
    fields = tuple(_field(node) for node in event["properties"])
    blanks = " || ".join(f"chr({point})" for point in custom["blankCharacters"])
    rules = [_stated_rule(node, None, blanks) for node in event["quality"]]
    for node, field in zip(event["properties"], fields, strict=True):
        rules += _derived_rules(field)
        rules += [_stated_rule(quality, field, blanks) for quality in node.get("quality", [])]
    currency = _custom(next(node for node in event["properties"] if node["name"] == "currency"))
    names = {
        "transactions": ("topic", event["physicalName"]),
        **{key: ("controlTopic", f"{event['physicalName']}.{key}") for key in custom["controlSenders"].values()},
        "alerts": ("alertsTopic", f"{event['physicalName']}.alerts"),
    }
    limits = custom.get("jsonLimits", BEFORE_LIMITS)
    topics = {}
    for key, (setting, name) in names.items():
        config = {k: str(v) for k, v in custom[setting].items() if k != "partitions"}
        topics[key] = Topic(name, custom[setting]["partitions"], config)
    return Contract(
        version=document["version"],
        purpose=" ".join(document["description"]["purpose"].split()),
        fields=fields,
        delivery=tuple(_field(node) for node in delivery["properties"]),
        rules=tuple(rules),
        currencies=currency["minorDigits"],
        unknown_currency_digits=currency["minorDigitsOfUnknown"],
        amount_integer_digits=custom["amountIntegerDigits"],
        max_value_bytes=custom["maxValueBytes"],
        json_limits=JsonLimits(limits["nestingLevels"], limits["numberDigits"], limits["keyCharacters"]),
        topics=topics,
        control_senders=custom["controlSenders"],
        headers=custom["headers"],
    )


@cache
def load_contract() -> Contract:
    """Return the platform's contract."""
    return parse_contract(CONTRACT_FILE.read_text(encoding="utf-8"))
