"""One filled warehouse for all tests of the dashboard."""

from collections.abc import Iterator

import pytest
from filled import SMALL, Filled, fill, fill_books, fill_flow, own_warehouse


@pytest.fixture(scope="session")
def warehouse() -> Iterator[Filled]:
    """A warehouse with 6,000 payments in its marts; tests only read it."""
    with own_warehouse() as database:
        fill(database, SMALL)
        fill_books(database)
        yield database


@pytest.fixture
def flow(warehouse: Filled) -> Filled:
    """The same warehouse with a live view that is in balance and up to this second; the test may change it."""
    fill_flow(warehouse)
    return warehouse
