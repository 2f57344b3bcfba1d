"""What the warehouse's tests share: a database of their own on the services' server, and an empty lake."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lake_writer import LakeWriter
from letter_books import Books
from own_database import OwnDatabase, own_database
from pydantic import SecretStr
from small_stream import SmallStream

from control.testing import Handle
from core.layout import CHECKOUT, Layout
from warehouse.dlq import commands
from warehouse.load import run_loads

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def migrated(services: Handle) -> Iterator[OwnDatabase]:
    with own_database(services.env) as database:
        yield database


@pytest.fixture
def database(migrated: OwnDatabase) -> OwnDatabase:
    migrated.empty()
    return migrated


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(CHECKOUT, tmp_path)


@pytest.fixture
def lake(layout: Layout) -> LakeWriter:
    return LakeWriter(layout)


@pytest.fixture
def load(database: OwnDatabase, layout: Layout) -> Callable[..., list[dict[str, Any]]]:
    """Load what is new; keyword arguments change settings."""

    def run(*, try_fresh: bool = True, **settings: Any) -> list[dict[str, Any]]:
        changed = database.model_copy(update=settings)
        return run_loads(changed, layout, try_fresh=try_fresh, say=lambda _: None)

    return run


@pytest.fixture
def query(database: OwnDatabase) -> Iterator[Query]:
    """Run SQL as the superuser and return the rows."""
    with database.connect() as connection:
        connection.execute("set timezone = 'UTC'")

        def run(text: str, *parameters: Any) -> list[tuple[Any, ...]]:
            cursor: psycopg.Cursor[Any] = connection.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def books(
    services: Handle,
    database: OwnDatabase,
    layout: Layout,
    load: Callable[..., Any],
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> Books:
    told = {
        "kafka_bootstrap": services.env["KAFKA_BOOTSTRAP"],
        "kafka_password_redrive": SecretStr(services.env["KAFKA_PASSWORD_REDRIVE"]),
    }
    settings = database.model_copy(update=told)
    monkeypatch.setattr(commands, "load_settings", lambda *_: settings)
    monkeypatch.setattr(commands, "find_layout", lambda: layout)
    return Books(settings, layout, SmallStream(services.env, layout), load, query)
