"""An entity: one kind of event with its contract, as Python objects.

Code that is not about a particular entity takes an `Entity` and names no table, topic or field of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# The most digits behind the point of a number that is not money.
NUMBER_DECIMALS = 4

# The first kind of event. What is about payments by nature, such as the live view, names it.
PAYMENTS = "transactions"


def is_named(entities: Iterable[str]) -> bool:
    """Say whether lines of output name their entity: only where all are the payments' does nobody ask."""
    return any(name != PAYMENTS for name in entities)


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
        kind: malformed (goes to the dead letters) or invalid (goes to the rejected rows).
        field: the field it speaks of; None for the whole value.
        meaning: one sentence for people.
        sql: what must be true, for invalid rules that look at one event; NULL counts as broken.
        scope: event, or warehouse for rules that compare with what came before.
        stated: the contract states it; False where it follows from a field's type or limits.
    """

    code: str
    kind: str
    field: str | None
    meaning: str
    sql: str | None
    scope: str
    stated: bool = False


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
class Platform:
    """What every entity shares, read from platform.yaml.

    Attributes:
        currencies: minor digits of each currency.
        unknown_currency_digits: the most decimals of an amount in another currency.
        blanks: SQL for all characters that leave a text blank.
        whole_value_rules: meanings of the reasons for which a value is malformed as a whole, by code.
        history_rules: meanings of the reasons that the loader finds in earlier events, by code.
        control_topics: the topic of control totals by its sender, the only user that may write it.
        delivery: the columns that lake and warehouse add to an event's fields.
    """

    currencies: Mapping[str, int]
    unknown_currency_digits: int
    amount_integer_digits: int
    max_value_bytes: int
    json_limits: JsonLimits
    blanks: str
    whole_value_rules: Mapping[str, str]
    history_rules: Mapping[str, str]
    control_topics: Mapping[str, Topic]
    headers: Mapping[str, str]
    delivery: tuple[Field, ...]


@dataclass(frozen=True)
class Statuses:
    """How an event's key goes from status to status.

    Attributes:
        field: the field that holds the status.
        first: may be followed by a final one.
        final: each ends it; a key has one of them at most.
        fields: all fields that may differ between two statuses of a key.
    """

    field: str
    first: str
    final: tuple[str, ...]
    fields: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every status, in order."""
        return (self.first, *self.final)


@dataclass(frozen=True)
class Entity:
    """One kind of event: its contract, and where its events are at each hop.

    Attributes:
        name: plural; it names topic, tables and commands' output, such as transactions.
        purpose: for people.
        key: the field that names what an event is about; the same for every status of it.
        event_time: the field that says when it happened.
        amount: the field that is money; None where the entity has none.
        currency: the field with the currency of the amount.
        identity: the fields that never change between the statuses of a key. An optional field never joins them.
        message_key: the field that Kafka's partitions go by.
        alerts_topic: where alerts about its events go; None where there are none.
        bronze: the lake's table of its well-formed events.
        dead_letters: the lake's table of its malformed events.
        silver: the warehouse's table of its valid events, in the schema raw.
        rejected: the table of those that break a rule.
        duplicates: the table of those that came before.
        fact: the mart with one row a key.
        daily: the mart that sums the fact by day; it has a count and an amount for each status.
        indexes: further columns by which silver's valid events are looked up.
        change_log: the table of every change to the fact; None where the fact has no such log.
    """

    name: str
    version: str
    purpose: str
    platform: Platform
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...]
    key: str
    statuses: Statuses
    event_time: str
    amount: str
    currency: str
    identity: tuple[str, ...]
    message_key: str
    topic: Topic
    alerts_topic: Topic | None
    bronze: str
    dead_letters: str
    duplicates: str
    daily: str
    indexes: tuple[str, ...]
    change_log: str | None

    @property
    def singular(self) -> str:
        """One of its events, for people and for names of docs blocks."""
        return self.name.removesuffix("s")

    @property
    def silver(self) -> str:
        """The warehouse's table of the valid events."""
        return f"raw.{self.name}"

    @property
    def rejected(self) -> str:
        """The warehouse's table of the events that break a business rule."""
        return f"raw.rejected_{self.name}"

    @property
    def fact(self) -> str:
        """The mart with the newest status of each key."""
        return f"marts.fact_{self.name}"

    @property
    def no_feed(self) -> str:
        """The feed of its events that name none; it is no feed."""
        return "(none)" if self.name == PAYMENTS else f"(none {self.name})"

    @property
    def lake_tables(self) -> tuple[str, str]:
        """The lake's tables, in the order in which a batch is committed."""
        return self.dead_letters, self.bronze

    @property
    def delivery(self) -> tuple[Field, ...]:
        """The columns that lake and warehouse add to the fields."""
        return self.platform.delivery

    @property
    def currencies(self) -> Mapping[str, int]:
        """Minor digits of each currency."""
        return self.platform.currencies

    @property
    def identity_fields(self) -> tuple[Field, ...]:
        """The fields of the identity, in its order."""
        return tuple(self.field(name) for name in self.identity)

    @property
    def status_fields(self) -> tuple[Field, ...]:
        """The fields that may differ between two statuses."""
        return tuple(self.field(name) for name in self.statuses.fields)

    @property
    def optional_fields(self) -> tuple[Field, ...]:
        """The fields that no hash holds: they were added later, and an event may lack them."""
        known = {*self.identity, *self.statuses.fields}
        return tuple(field for field in self.fields if field.name not in known)

    def field(self, name: str) -> Field:
        """Return the event's field of that name.

        Raises:
            StopIteration: there is none.
        """
        return next(f for f in self.fields if f.name == name)

    def stored(self, name: str) -> str:
        """Return the column that a field is stored as."""
        return self.field(name).stored_as

    def rule(self, code: str) -> Rule:
        """Return the rule of that reason code."""
        return next(r for r in self.rules if r.code == code)
