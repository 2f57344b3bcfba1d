"""One filled warehouse for all tests of the dashboard."""

from collections.abc import Iterator

import pytest
from filled import SMALL, Filled, fill, own_warehouse


@pytest.fixture(scope="session")
def warehouse() -> Iterator[Filled]:
    """A warehouse with 6,000 payments in its marts; tests only read it."""
    with own_warehouse() as database:
        fill(database, SMALL)
        yield database
