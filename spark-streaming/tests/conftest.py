"""One Spark session for all tests of this folder: it starts in seven seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from core.layout import CHECKOUT, Layout
from core.settings import Settings
from spark_streaming.session import start_session


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    layout = Layout(CHECKOUT, Path(tmp_path_factory.mktemp("home ä")))
    session = start_session(Settings(), layout, "tests", ui=False)
    yield session
    session.stop()
