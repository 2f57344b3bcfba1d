"""`tieout feed`: what a person reads and types, and what the books keep of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import typer
from alembic import command
from lake_writer import LakeWriter
from own_database import OwnDatabase
from psycopg import sql
from psycopg.types.json import Jsonb
from test_control_feeds import Gateway, sent
from typer.testing import CliRunner

from core.errors import OutageError
from core.layout import Layout
from core.locks import AdvisoryKey, take_advisory
from warehouse.feed.books import void_feeds
from warehouse.feed.cli import mount
from warehouse.load import run_loads
from warehouse.migrate import migrate
from warehouse.proof import run_proof, show_proof

RUN = CliRunner()
app = typer.Typer()
mount(app)


def test_a_reason_is_asked_for_and_help_shows_an_example() -> None:
    assert RUN.invoke(app, ["feed", "void", "r"]).exit_code == 2
    for reason in ("", "  ", "a\x1bb", "a\nb", "x" * 501):
        assert RUN.invoke(app, ["feed", "void", "r", "--reason", reason]).exit_code == 2, reason
    assert RUN.invoke(app, ["feed", "list", "--verdict", "wrong"]).exit_code == 2
    assert "Example: ./scripts/tieout feed void" in RUN.invoke(app, ["feed", "void", "--help"]).stdout
    assert "Example: ./scripts/tieout feed list" in RUN.invoke(app, ["feed", "list", "--help"]).stdout


@pytest.fixture
def contradicted(
    database: OwnDatabase, lake: LakeWriter, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> OwnDatabase:
    """A feed that is told with two contents."""
    gateway = Gateway()
    monkeypatch.setattr("warehouse.load.ControlTopic", gateway)
    monkeypatch.setattr("core.settings.load_settings", lambda _=None: database)
    lake.commit([*sent(1, 2, run="sftp in"), *sent(1, run="other")])
    gateway.say(2, 1, closed=True, run="sftp in")
    gateway.say(2, 1, closed=True, run="sftp in", amounts=None)
    run_loads(database, layout, say=lambda _: None)
    return database


@pytest.mark.services
def test_whoever_keeps_a_feed_from_being_ended_is_named(contradicted: OwnDatabase) -> None:
    impatient = contradicted.model_copy(update={"loader_lock_wait_seconds": 0})
    with contradicted.connect("loader") as connection:
        assert take_advisory(connection, AdvisoryKey.LOADER, 1)
        said = r"is running: role .*, server process \d+\. It may change"
        with pytest.raises(OutageError, match=said) as caught:
            void_feeds(impatient, ["sftp in"], "why", dry_run=False)
    assert "no feed was ended" in caught.value.left


@pytest.mark.services
def test_a_feed_is_listed_ended_and_shown_as_void(
    contradicted: OwnDatabase, layout: Layout, query: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = json.loads(RUN.invoke(app, ["feed", "list", "--json"]).stdout)
    assert [(feed["feed"], feed["verdict"], feed["contradictions"]) for feed in listed["feeds"]] == [
        ("other", "UNATTESTED", 0),
        ("sftp in", "DIFFERENT", 1),
    ]
    assert "sftp in" in RUN.invoke(app, ["feed", "list"]).stdout
    said = ["feed", "void", "sftp in", "--reason", "told [twice]"]
    dry = json.loads(RUN.invoke(app, [*said, "--dry-run", "--json"]).stdout)
    assert (dry["ok"], dry["dry_run"]) == (True, True)
    assert query("select count(*) from metadata.feed_voids") == [(0,)]
    outcome = json.loads(RUN.invoke(app, [*said, "--json"]).stdout)
    assert (outcome["ok"], outcome["feeds"][0]["feed"], outcome["reason"]) == (True, "sftp in", "told [twice]")
    again = RUN.invoke(app, said)
    assert again.exit_code != 0
    assert "was ended already" in str(again.exception)
    for full in (False, True):
        proof = run_proof(full, settings=contradicted, layout=layout)
        assert [e["verdict"] for e in proof["equations"] if e["scope"].get("feed") == "sftp in"] == ["VOID"]
    show_proof(proof)
    assert "VOID: an operator has ended the feed" in capsys.readouterr().out


@pytest.mark.services
def test_nobody_takes_a_void_back_or_writes_one_under_another_account(contradicted: OwnDatabase) -> None:
    assert RUN.invoke(app, ["feed", "void", "other", "--reason", "a test"]).exit_code == 0
    for role in ("loader", "dbt", "reader", "redrive"):
        with contradicted.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from metadata.feed_voids")
    for role in ("dbt", "reader", "redrive"):
        with contradicted.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update metadata.feeds set is_void = true")


@pytest.mark.services
def test_old_differences_that_repeat_go_and_the_first_of_a_day_stays(database: OwnDatabase, query: Any) -> None:
    day = datetime.now(UTC).replace(hour=12) - timedelta(days=9)
    rows = [
        (uuid4(), day + timedelta(minutes=number, days=which), "E0", Jsonb({"feed": f"r{line}"}), verdict)
        for which in (0, 1)
        for number in range(5)
        for line in range(3)
        for verdict in ("DIFFERENT", "OK")
    ]
    rows += [(uuid4(), day, "E0", Jsonb({"feed": f"many{number}"}), "DIFFERENT") for number in range(1_500)]
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into metadata.proof (proof_id, checked_at, equation, scope, left_count, right_count, verdict) "
            "values (%s, %s, %s, %s, 0, 1, %s)",
            rows,
        )
    for _ in range(3):
        query("select metadata.prune_proofs()")
    kept = query("select checked_at::date, verdict, count(*), count(distinct scope) from metadata.proof "
                 "group by 1, 2 order by 1")  # fmt: skip
    assert [(verdict, count, lines) for _, verdict, count, lines in kept] == [
        ("DIFFERENT", 1_000, 1_000),
        ("DIFFERENT", 3, 3),
    ]
    assert query("select verdict, sum(lines)::int from metadata.proof_days group by 1 order by 1") == [
        ("DIFFERENT", 527),
        ("OK", 30),
    ]


@pytest.fixture
def older(database: OwnDatabase) -> Iterator[OwnDatabase]:
    """A database as the version before left it."""
    name = f"older_{uuid4().hex[:12]}"
    server = database.model_copy(update={"postgres_db": "postgres"})
    with server.connect() as connection:
        connection.execute(sql.SQL("create database {} owner owner").format(sql.Identifier(name)))
    found = database.model_copy(update={"postgres_db": name})
    try:
        yield found
    finally:
        with server.connect() as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.mark.services
def test_a_platform_of_before_goes_on_where_it_was(older: OwnDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        upgrade = command.upgrade
        before.setattr("warehouse.migrate.command.upgrade", lambda config, _: upgrade(config, "0009"))
        migrate(older.dsn("owner"))
    with older.connect() as connection:
        connection.execute("insert into metadata.load_audit (status) values ('RUNNING')")
        connection.execute(
            "insert into metadata.control_watermark (topic_id, ends, load_id) values ('c', '{\"0\": 7}', 1)"
        )
        connection.execute(
            "insert into metadata.redrive_feeds (run, topic_id, selection, asked_by) values ('redrive-1', 't', '', '')"
        )
    migrate(older.dsn("owner"))
    with older.connect() as connection:
        assert connection.execute("select sender, ends from metadata.control_watermark").fetchall() == [
            ("gateway", {"0": 7})
        ]
        assert connection.execute("select run, used_gateway_topic from metadata.redrive_feeds").fetchall() == [
            ("redrive-1", True)
        ]
