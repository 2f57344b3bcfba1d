"""The lease of a lake elsewhere, with a real database."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from control.roles import dsn
from core.errors import RefusalError
from core.layout import CHECKOUT, Layout
from core.settings import Settings, parse_settings
from spark_streaming import lease
from spark_streaming.errors import LakeBusyError, LeaseLostError
from spark_streaming.queries import Queries

pytestmark = pytest.mark.services


@pytest.fixture
def settings(services: Any) -> Settings:
    return parse_settings({**services.env, "LAKE_URL": "s3://lake/x"}, Layout(CHECKOUT, services.home))


def end_sessions(services: Any) -> int:
    with psycopg.connect(dsn(services.env, "postgres"), autocommit=True) as superuser:
        query = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'stream'"
        row = superuser.execute(query).fetchone()
    return int(row[0]) if row else 0


def test_a_second_writer_elsewhere_is_told_who_writes(settings: Settings) -> None:
    with lease.hold(settings):
        with pytest.raises(LakeBusyError, match=r"tieout stream \d+ on ") as caught, lease.hold(settings, patience=0):
            pytest.fail("two writers")
        assert "wait for that stream" in caught.value.next
    with lease.hold(settings, patience=0) as free:
        assert free


def test_a_lake_in_a_folder_asks_no_database() -> None:
    with lease.hold(Settings(postgres_host="nowhere.example")) as held:
        assert held is None


class Writer:
    """Stands in for the lake's writer; the lease is lost while its first batch is written."""

    def __init__(self, services: Any) -> None:
        self.services, self.batches, self.ended = services, list[int](), 0
        self.entity = SimpleNamespace(name="transactions")

    def write(self, _messages: Any, batch: int, _end: Any) -> str:
        self.batches.append(batch)
        self.ended += end_sessions(self.services)
        return f"batch {batch}"


def test_a_lease_that_is_lost_while_a_batch_is_written_ends_the_stream_before_the_next(
    services: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Queries, "_end", lambda *_: {})
    writer = Writer(services)
    with lease.hold(settings) as held:
        stream = Queries(settings, SimpleNamespace(), (), SimpleNamespace(), lease=held)  # type: ignore[arg-type]
        stream._batch(writer, None, 0)  # type: ignore[arg-type]
        assert (writer.batches, writer.ended) == ([0], 1)
        with pytest.raises(LeaseLostError, match="The lease of the lake is lost"):
            stream._batch(writer, None, 1)  # type: ignore[arg-type]
    assert (writer.batches, stream.stopping) == ([0], True)
    assert isinstance(stream._errors["transactions"], LeaseLostError)
    stream._batch(writer, None, 2)  # type: ignore[arg-type]
    assert writer.batches == [0]
    with lease.hold(settings, patience=5) as again:
        assert again
        again.require()


def test_a_database_that_is_away_is_an_outage(settings: Settings) -> None:
    away = settings.model_copy(update={"postgres_port": 1})
    with pytest.raises(LeaseLostError, match="is not to be had"), lease.hold(away):
        pytest.fail("a lease of nobody")


def test_a_pooler_is_refused_before_the_lease_is_taken(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> Any:
        raise RefusalError("a pooler", "", "")

    monkeypatch.setattr("core.pooler.open_session", refuse)
    with pytest.raises(RefusalError, match="a pooler"), lease.hold(settings):
        pytest.fail("a lease that a pooler keeps")


def test_the_streams_role_sees_no_table(services: Any) -> None:
    with psycopg.connect(dsn(services.env, "stream")) as connection:
        for table in ("raw.transactions", "metadata.load_watermark", "marts.fact_transactions"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select from {table}")
            connection.rollback()
