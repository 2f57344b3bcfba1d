"""Fixtures that every folder's tests share."""

from collections.abc import Iterator

import pytest

from control.testing import Handle, temporary_platform


@pytest.fixture(scope="session")
def services() -> Iterator[Handle]:
    """A real broker and a real, migrated database in a home of their own: topics, users, roles, schemas."""
    with temporary_platform() as handle:
        yield handle
