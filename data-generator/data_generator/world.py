"""The Indian customers and merchants of the simulator: made once, the same in every run: customers come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random
from typing import Final, TypeVar

from faker import Faker

from data_generator.places import INDIAN_CITIES

CUSTOMERS: Final = 4_000
MERCHANTS: Final = 400
_WORLD_SEED: Final = 20260101

# Trade, share in percent, smallest and largest amount in paise. The words are those of the replayed card payments.
TRADES: Final = (
    ("grocery_pos", 16, 5_000, 450_000),
    ("grocery_net", 8, 15_000, 400_000),
    ("food_dining", 15, 4_000, 350_000),
    ("gas_transport", 12, 3_000, 500_000),
    ("shopping_net", 11, 19_900, 2_500_000),
    ("shopping_pos", 8, 19_900, 1_800_000),
    ("home", 6, 25_000, 6_000_000),
    ("health_fitness", 5, 10_000, 900_000),
    ("personal_care", 5, 9_900, 500_000),
    ("kids_pets", 4, 9_900, 600_000),
    ("entertainment", 4, 9_900, 400_000),
    ("travel", 3, 50_000, 9_000_000),
    ("misc_net", 2, 4_900, 800_000),
    ("misc_pos", 1, 4_900, 500_000),
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who pays; no real person."""

    customer_id: str
    key: bytes
    name: str
    email: str
    city: str
    state: str
    ip_address: str


@dataclass(frozen=True, slots=True)
class Merchant:
    """Somebody who is paid, with the range of amounts of the trade, in minor units."""

    name: str
    category: str
    smallest: int
    largest: int


@dataclass(frozen=True, slots=True)
class World:
    """All that a made payment is drawn from."""

    customers: tuple[Customer, ...]
    merchants: tuple[Merchant, ...]


def email_address(name: str, tail: str) -> str:
    """Return an address in a domain that is reserved for examples."""
    local = ".".join("".join(c for c in part.lower() if c.isascii() and c.isalnum()) for part in name.split())
    return f"{local}.{tail}@example.com"


def ip_address(number: int) -> str:
    """Return an address of 198.18.0.0/15, the range set aside for tests (RFC 2544): it belongs to nobody."""
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


def _weighted(random: Random, choices: Sequence[tuple[_T, int]]) -> _T:
    bounds = list(accumulate(weight for _, weight in choices))
    at = random.randrange(bounds[-1])
    return next(choice for (choice, _), bound in zip(choices, bounds, strict=True) if at < bound)


@cache
def make_world() -> World:
    """Return the world; always the same one for one version of Faker. Takes a fraction of a second, once."""
    faker = Faker("en_IN")
    faker.seed_instance(_WORLD_SEED)
    random = Random(_WORLD_SEED)  # noqa: S311 (a simulation, nothing secret)
    places = [((city, state), weight) for city, state, weight in INDIAN_CITIES]
    trades = [((trade, low, high), share) for trade, share, low, high in TRADES]
    customers = []
    for number in range(CUSTOMERS):
        name, (city, state) = faker.name(), _weighted(random, places)
        customer_id = f"IN{number + 1:08d}"
        customers.append(
            Customer(
                customer_id,
                customer_id.encode(),
                name,
                email_address(name, f"{number + 1:04d}"),
                city,
                state,
                ip_address(random.getrandbits(17)),
            )
        )
    merchants = []
    for number in range(MERCHANTS):
        trade, low, high = trades[number][0] if number < len(trades) else _weighted(random, trades)
        merchants.append(Merchant(faker.unique.company(), trade, low, high))
    return World(tuple(customers), tuple(merchants))
