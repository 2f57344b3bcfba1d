"""Opening a page of the dashboard without a browser, over a warehouse of the tests."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import streamlit as st
from filled import TOKEN, Filled
from streamlit.testing.v1 import AppTest


@contextmanager
def settings_of(warehouse: Filled, **changed: str) -> Iterator[None]:
    """Let the pages read this warehouse, with fresh caches."""
    named = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_PASSWORD_READER")
    env = {name: warehouse.env[name] for name in named} | {"DASHBOARD_TOKEN": TOKEN, "TIEOUT_HOME": "/nonexistent"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (env | changed).items():
            patch.setenv(name, value)
        st.cache_data.clear()
        st.cache_resource.clear()
        yield


def open_page(name: str = "business", **query: str | list[str]) -> AppTest:
    """Run a page with what stands in its address; a name that is a word of Python's ends with an underscore."""
    app = AppTest.from_string(f"from dashboard.screens import {name}\n{name}.show()\n", default_timeout=60)
    for key, value in query.items():
        app.query_params[key.rstrip("_")] = value
    app.run()
    assert not app.exception
    return app
