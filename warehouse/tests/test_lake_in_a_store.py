"""The same lake in a folder and in a real S3 store gives the same silver, proof, letters and backfill.

And when the store is away, too slow, or refuses, one error says so, and nothing is lost.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from lake_writer import FIRST_ARRIVAL, LakeWriter, dead_letter, local_lake, payment
from own_database import OwnDatabase

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from control.store import Store, running_store
from core.errors import OutageError, TieoutError
from core.lake import Lake
from core.layout import Layout
from core.settings import parse_settings
from warehouse.accept import accept_table
from warehouse.backfill import open_backfill
from warehouse.dlq.lake import open_letters
from warehouse.dlq.selection import Coordinates, Wanted
from warehouse.freshness import look_at_bronze, look_at_loads
from warehouse.load import run_loads
from warehouse.proof import run_proof

pytestmark = pytest.mark.services

Query = Callable[..., list[tuple[Any, ...]]]
TOPIC = "sMHcCAVMSGyb_J6xbxrUwA"
FIRST = datetime(2026, 11, 17, 12, tzinfo=UTC)


def in_store(settings: OwnDatabase, layout: Layout, told: Mapping[str, str]) -> OwnDatabase:
    """Return the settings with those of a lake."""
    found = parse_settings(told, layout)
    return settings.model_copy(update={name: getattr(found, name) for name in map(str.lower, told)})


@pytest.fixture
def settings(database: OwnDatabase, layout: Layout, store: Store) -> OwnDatabase:
    """Settings whose lake is in the store, under a prefix of the test's own."""
    return in_store(database, layout, store.settings | {"LAKE_URL": f"s3://lake/{uuid4().hex}"})


def batches() -> Iterator[list[dict[str, Any]]]:
    """Yield events with amounts of every scale, times to the microsecond, and all that silver tells apart."""
    for batch in range(3):
        yield [
            payment(
                f"t{batch}-{n}",
                occurred_at=FIRST + timedelta(days=n % 3, microseconds=n),
                amount=Decimal(n * 1_234_567_891 + 1).scaleb(-(n % 5))
                if n % 5 in (0, 2)
                else Decimal("9007199254740993.07"),
                currency=("INR", "USD", "KWD")[n % 3],
                partition=n % 2,
                run="feed",
                seq=batch * 40 + n + 1,
            )
            for n in range(40)
        ] + [
            payment("t0-0", "PENDING"),
            payment("bad", currency="XXX"),
            dead_letter(raw_value=b"{" * 40),
            dead_letter(),
        ]


def ordered(query: Query, table: str, leave_out: str = "") -> list[tuple[Any, ...]]:
    return query(
        f"select (to_jsonb(t) - '{{loaded_at,first_loaded_at{leave_out}}}'::text[])::text from {table} t order by 1"
    )


def everything(settings: OwnDatabase, layout: Layout, query: Query) -> dict[str, Any]:
    """Do with a lake what the warehouse does, and return what came of it."""
    writer = LakeWriter(Lake.of(settings, layout))
    for events in batches():
        writer.commit(events)
    writer.lose(0, 2, "gone")
    small = settings.model_copy(update={"max_rows_per_load": 60})
    fresh = look_at_bronze(layout, settings, datetime.now(UTC))
    loads = run_loads(small, layout, run_id="r1", say=lambda _: None)
    silver = {name: ordered(query, f"raw.{name}") for name in ("transactions", "duplicates", "rejected_transactions")}
    silver["dead_letters"] = ordered(query, "raw.dead_letters")
    proof = run_proof(True, settings=settings, layout=layout)
    query("delete from raw.transactions where transaction_id like 't1-%'")
    different = run_proof(True, settings=settings, layout=layout, explain=True)
    with open_backfill(settings, layout, load_entity(PAYMENTS), "r2") as work:
        backfill_id, _ = work.open("a test")
        days = work.days(FIRST.date(), FIRST.date() + timedelta(days=2), {})
        by_offset = work.days(None, None, {0: (0, 30)})
        read_again = {day: work.read_day(backfill_id, day, {}) for day in days}
    wanted = [Wanted(Coordinates(TOPIC, 0, offset), FIRST_ARRIVAL.date(), "X") for offset in range(90)]
    with open_letters(writer.lake, load_entity(PAYMENTS), [wanted], rejected=False) as letters:
        bytes_of = [(str(each.place), each.value) for page in letters.pages() for each in page]
        gone = letters.gone_count
    return {
        "fresh": {name: fresh[name] for name in ("rows_waiting", "newest_arrival")},
        "loads": [
            {k: v for k, v in load.items() if k not in ("seconds", "started_at", "finished_at")} for load in loads
        ],
        "silver": silver,
        "proof": [proof["ok"], proof["equations"]],
        "different": [different["ok"], different["explained"]],
        "days": [days, by_offset, read_again],
        "letters": [bytes_of, gone],
        "silver after the backfill": ordered(query, "raw.transactions"),
        "of the run": look_at_loads(layout, settings, "r1", datetime.now(UTC)),
        "counts": [table.count() for table in writer.lake.tables],
        "files": [len(table.files()) for table in writer.lake.tables],
        "waiting": look_at_bronze(layout, settings, datetime.now(UTC))["rows_waiting"],
    }


@pytest.mark.parametrize("portion", [1, 2**40])
def test_a_lake_in_a_store_gives_what_the_same_lake_in_a_folder_gives(
    database: OwnDatabase,
    settings: OwnDatabase,
    layout: Layout,
    query: Query,
    portion: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_folder = everything(database, layout, query)
    assert in_folder["silver"]["transactions"]
    assert in_folder["silver"]["dead_letters"]
    assert in_folder["letters"][0]
    assert in_folder["proof"][0]
    assert not in_folder["different"][0]
    assert min(in_folder["files"]) > 1
    database.empty()
    monkeypatch.setattr("core.lake.PORTION_BYTES", portion)
    in_bucket = everything(settings, layout, query)
    for what, found in in_folder.items():
        assert in_bucket[what] == found, what
    assert not list(layout.state.rglob("*.parquet")), "what was copied stays nowhere"


def test_a_file_that_a_commit_names_and_the_store_has_not_stops_the_load(
    settings: OwnDatabase, layout: Layout, query: Query
) -> None:
    writer = LakeWriter(Lake.of(settings, layout))
    writer.commit([payment("a"), dead_letter()])
    (file,) = writer.lake.bronze.files()
    writer.lake.place.remove(f"raw_transactions/{file.path.rpartition('/')[0]}")
    for work in (
        lambda: run_loads(settings, layout, say=lambda _: None),
        lambda: run_proof(True, settings=settings, layout=layout),
    ):
        with pytest.raises(TieoutError, match=r"the lake cannot be read(.|\n)*proof --full"):
            work()
    assert query("select count(*) from metadata.load_watermark") == [(0,)]


def test_a_table_that_was_made_anew_in_a_store_is_refused_and_taken_on_demand(
    settings: OwnDatabase, layout: Layout, query: Query
) -> None:
    LakeWriter(Lake.of(settings, layout)).commit([payment("a"), dead_letter()])
    run_loads(settings, layout, say=lambda _: None)
    anew = LakeWriter(Lake.of(settings, layout))
    anew.lake.bronze.remove()
    assert not anew.lake.bronze.exists()
    delivered = anew.deliver([payment("a"), dead_letter()])
    anew.write(anew.lake.bronze, delivered, {0: 0}, {0: 2})
    with pytest.raises(TieoutError, match="--accept-table") as refusal:
        run_loads(settings, layout, say=lambda _: None)
    accepted = refusal.value.next.partition("--accept-table ")[2].split()[0]
    accept_table(accepted, "the bucket died", settings=settings, layout=layout)
    (load,) = run_loads(settings, layout, say=lambda _: None)
    assert load["already_loaded"] == 1


def silent_port(stack: ExitStack) -> int:
    """Return a port of a program that takes connections and says nothing."""
    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
    return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("state", "kind", "words", "command"),
    [
        ("away", OutageError, "does not answer: no connection", "./scripts/tieout doctor, then the same command again"),
        ("slow", OutageError, "a request took more than 1 s", "./scripts/tieout doctor, then the same command again"),
        ("wrong secret", TieoutError, "refuses the keys of the lake", "LAKE_SECRET_KEY in .env"),
        ("wrong key", TieoutError, "refuses the keys of the lake", "LAKE_ACCESS_KEY and"),
        ("no bucket", TieoutError, "has no bucket another", "LAKE_URL in .env"),
    ],
)
def test_a_store_that_does_not_do_its_part_is_one_clear_error_of_each_reader_and_costs_nothing(
    settings: OwnDatabase,
    layout: Layout,
    query: Query,
    state: str,
    kind: type[TieoutError],
    words: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = LakeWriter(Lake.of(settings, layout))
    writer.commit([payment("a"), dead_letter()])
    run_loads(settings, layout, say=lambda _: None)
    writer.commit([payment("b"), dead_letter()])
    before = query("select lake_table, version from metadata.load_watermark order by 1")
    monkeypatch.setattr("core.bucket.REQUEST_SECONDS", 1)
    monkeypatch.setattr("core.bucket.RETRIES", 1)
    monkeypatch.setattr("core.bucket.RETRY_SECONDS", 2)
    with ExitStack() as stack:
        told = {
            "away": {"LAKE_ENDPOINT": "http://127.0.0.1:9"},
            "slow": {"LAKE_ENDPOINT": f"http://127.0.0.1:{silent_port(stack)}"},
            "wrong secret": {"LAKE_SECRET_KEY": "not-the-secret"},
            "wrong key": {"LAKE_ACCESS_KEY": "nobody"},
            "no bucket": {"LAKE_URL": "s3://another/lake"},
        }[state]
        ill = in_store(settings, layout, told)
        lake = Lake.of(ill, layout)
        wanted = [[Wanted(Coordinates(TOPIC, 0, 1), FIRST_ARRIVAL.date(), "X")]]
        readers: dict[str, Callable[[], object]] = {
            "load": lambda: run_loads(ill, layout, say=lambda _: None),
            "proof": lambda: run_proof(settings=ill, layout=layout),
            "proof --full": lambda: run_proof(True, settings=ill, layout=layout),
            "bronze": lambda: look_at_bronze(layout, ill, datetime.now(UTC)),
            "letters": lambda: open_letters(lake, load_entity(PAYMENTS), wanted, rejected=False).__enter__(),
            "backfill": lambda: days_of(ill, layout),
            "accept": lambda: accept_table("x", "y", settings=ill, layout=layout),
            "delta-rs": lake.bronze.delta,
            "a write": lambda: lake.place.create("x", b"1"),
        }
        for name, read in readers.items():
            with pytest.raises(kind, match=words) as said:
                read()
            assert command in said.value.next, name
            assert isinstance(said.value, OutageError) == (kind is OutageError), name
            assert "hush" not in str(said.value)
    assert query("select lake_table, version from metadata.load_watermark order by 1") == before
    (load,) = run_loads(settings, layout, say=lambda _: None)
    assert (load["rows_loaded"], load["dead_letters"]) == (1, 1)
    assert run_proof(True, settings=settings, layout=layout)["ok"]


def days_of(settings: OwnDatabase, layout: Layout) -> list[date]:
    with open_backfill(settings, layout, load_entity(PAYMENTS), None) as work:
        return work.days(FIRST.date(), FIRST.date() + timedelta(days=9), {})


@pytest.mark.parametrize(
    ("change", "words"), [("killed", "no connection"), ("revoked", "refuses the keys of the lake")]
)
def test_what_happens_to_the_store_between_two_loads_leaves_the_first_and_loses_nothing(
    database: OwnDatabase,
    layout: Layout,
    query: Query,
    own_store: Store,
    change: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.bucket.RETRIES", 1)
    settings = in_store(database, layout, own_store.settings | {"MAX_ROWS_PER_LOAD": "40"})
    with ExitStack() as stack:
        process = stack.enter_context(running_store(own_store))
        writer = LakeWriter(Lake.of(settings, layout))
        for events in batches():
            writer.commit(events)
        happened: list[str] = []

        def strike(line: str) -> None:
            if line.startswith("load 1:"):
                kill(process)
                if change == "revoked":
                    stack.enter_context(running_store(replace(own_store, secret_key="another-secret")))
                happened.append(line)

        with pytest.raises(TieoutError, match=words) as said:
            run_loads(settings, layout, say=strike)
        assert happened
        assert "./scripts/tieout doctor" in said.value.next
    # The second load of payments, and that of refunds, which is tried all the same.
    assert query("select status from metadata.load_audit order by load_id") == [("SUCCESS",), ("FAILED",), ("FAILED",)]
    monkeypatch.setattr("core.bucket.RETRIES", 10)  # a store that was killed says 500 while it comes up
    with running_store(own_store):
        assert sum(load["rows_read"] for load in run_loads(settings, layout, say=lambda _: None)) == 84
        assert run_proof(True, settings=settings, layout=layout)["ok"]


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_the_lake_of_a_home_is_not_touched_by_one_in_a_store(settings: OwnDatabase, layout: Layout) -> None:
    LakeWriter(Lake.of(settings, layout)).commit([payment("a")])
    assert not layout.data.exists()
    assert not local_lake(layout).bronze.exists()
