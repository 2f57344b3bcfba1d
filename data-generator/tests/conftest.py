"""Card rows, plans and feeds for the gateway's tests."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from contracts.entities import load_entities
from core.layout import CHECKOUT
from data_generator.card_file import CardFile
from data_generator.clock import DAY
from data_generator.feed import Feed
from data_generator.plan import Plan
from data_generator.produce import make_feed

SAMPLES = CHECKOUT / "data" / "samples"

SOUND = {
    "": "0",
    "trans_date_trans_time": "2019-01-01 00:00:18",
    "cc_num": "2703186189652095",
    "merchant": "fraud_Rippin, Kub and Mann",
    "category": "misc_net",
    "amt": "4.97",
    "first": "Jennifer",
    "last": "Banks",
    "gender": "F",
    "street": "561 Perry Cove",
    "city": "Moravian Falls",
    "state": "NC",
    "zip": "28654",
    "lat": "36.0788",
    "long": "-81.1781",
    "city_pop": "3495",
    "job": "Psychologist, counselling",
    "dob": "1988-03-09",
    "trans_num": "0b242abb623afc578575680df30655b9",
    "unix_time": "1325376018",
    "merch_lat": "36.011293",
    "merch_long": "-82.048315",
    "is_fraud": "0",
}


def csv_text(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = tuple(SOUND), end: str = "\n") -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end)
    writer.writerow(columns)
    writer.writerows([each.get(column, "") for column in columns] for each in rows)
    return out.getvalue()


@pytest.fixture(scope="session")
def sound() -> dict[str, str]:
    """One row of the Kaggle form, all columns in the published order."""
    return dict(SOUND)


@pytest.fixture(scope="session")
def as_csv() -> Callable[..., str]:
    """(rows, columns, line end) to the text of a file."""
    return csv_text


@pytest.fixture(scope="session")
def sample() -> CardFile:
    """The bundled card transactions, checked."""
    file = CardFile(SAMPLES / "fraudTrain_33k.csv.gz", 0, print)
    file.check()
    return file


@pytest.fixture(scope="session")
def damaged() -> list[Path]:
    """Excerpts of files that a spreadsheet programme has damaged."""
    return sorted((SAMPLES / "damaged").glob("*.csv"))


@pytest.fixture(scope="session")
def plan() -> Callable[..., Plan]:
    """A plan of 2,000 payments over thirty days, with changes."""

    def make(**changes: Any) -> Plan:
        standard: dict[str, Any] = {
            "seed": 7,
            "start": 1_793_000_000_000,
            "timeline": "last",
            "span": 30 * DAY,
            "mix": Fraction(7, 10),
            "total": 2_000,
            "rate": Fraction(0),
            "faults": Fraction(0),
            "settle_within": 3 * DAY,
        }
        return Plan(**(standard | changes))

    return make


@pytest.fixture(scope="session")
def feed(sample: CardFile) -> Callable[..., Feed]:
    """The feed of a plan, from the bundled sample unless another file is given."""

    def make(plan: Plan, file: CardFile = sample, key: str = "key") -> Feed:
        return make_feed(plan, file, {each.name: each for each in load_entities()}, key)

    return make
