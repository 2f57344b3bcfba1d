"""Letters of every kind, mended and put back: once, whatever is killed, and the books tie out all the way."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lake_writer import dead_letter, payment
from letter_books import Books, control_totals, mend, sound
from small_stream import CONTRACT
from test_letters import BROKEN

from contracts.event_json import to_json
from contracts.faults import fault_kinds
from control.testing import Handle
from core import failpoints
from core.errors import OutageError, TieoutError
from core.kafka_login import KafkaPlace
from warehouse.dlq import commands
from warehouse.dlq.books import open_books
from warehouse.dlq.redrive import redrive
from warehouse.dlq.selection import Selection
from warehouse.dlq.sender import Sender
from warehouse.dlq.sources import FromLake
from warehouse.dlq.write_off import write_off

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
Query = Callable[..., list[tuple[Any, ...]]]
HEAVY = "VALUE_TOO_LARGE"

REDRIVE = """
import json, resource, sys
from own_database import OwnDatabase
from letter_books import Books
from core.layout import CHECKOUT, Layout
from pathlib import Path
asked = json.load(sys.stdin)
settings = OwnDatabase.model_validate(asked["settings"])
books = Books(settings, Layout(CHECKOUT, Path(asked["home"])), None, None, None)
outcome = books.redrive(**asked["which"])
outcome["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps(outcome))
"""


def test_letters_of_every_kind_are_mended_and_redriven_once(books: Books, services: Handle, tmp_path: Path) -> None:
    kinds = {name: value for name, value in BROKEN.items() if not name.startswith(HEAVY) or name.endswith("/0")}
    books.send(*kinds.values(), to_json(sound(-1)))
    assert books.states() == {"OPEN": len(kinds)}
    books.tie_out()
    listed = commands.list_letters(Selection(state="OPEN"), by="reason", letters=False, limit=1)
    assert {code for group in listed["groups"] for code in group["reasons"]} == {n.partition("/")[0] for n in kinds}
    assert sum(group["count"] for group in listed["groups"]) == len(kinds)

    file = tmp_path / "letters.jsonl"
    mend(books.export(file, state="open"), file)
    expected = {"letters": len(kinds), "unchanged": 0, "expected": {"well_formed": len(kinds), "malformed": {}}}
    preview = books.redrive(file=str(file), dry_run=True)
    becomes = {"new": len(kinds), "duplicates": 0, "rejected_letters": 0, "rejected": {}, "not_new": []}
    becomes["new_amounts"] = {"INR": {"count": len(kinds), "amount": f"{Decimal('107.23') * len(kinds)}"}}
    assert {name: preview[name] for name in expected} == expected | {"expected": expected["expected"] | becomes}
    assert books.states() == {"OPEN": len(kinds)}
    outcome = books.redrive(file=str(file))
    assert {name: outcome[name] for name in expected} == expected
    books.tie_out()  # sent, and not loaded yet
    books.take_in()
    books.tie_out()
    amount = Decimal("107.23") * len(kinds)
    assert books.query("select count(*), sum(amount) from raw.transactions where redrive_of is not null") == [
        (len(kinds), amount)
    ]
    successors = "select count(*) from metadata.dead_letter_book where state = 'REDRIVEN' and successor_book = %s"
    assert books.query(successors, "transactions") == [(len(kinds),)]
    (*_, last) = control_totals(services.env, outcome["run"])
    assert (last.closed, last.seq, last.without_amount) == (True, len(kinds), 0)
    assert last.amounts is not None
    assert (last.amounts["INR"].count, last.amounts["INR"].amount) == (len(kinds), amount)
    assert books.query("select count(*) from raw.redrive_payloads") == [(0,)]

    for again in ({"file": str(file)}, {"every": True}):
        with pytest.raises(TieoutError, match=r"was redriven already|no letter of the selection all is open"):
            books.redrive(**again)
    assert books.redrive(file=str(file), skip=True)["letters"] == 0
    assert books.stream.drain() == 0


def test_a_letter_that_becomes_one_again_shows_its_chain(books: Books, services: Handle) -> None:
    books.send(b'{"amount": 12.50, "currency": "INR", "customer_name": "Asha"}')
    (place,) = books.query('select partition, "offset" from raw.dead_letters')
    first = books.redrive(offsets=f"{place[0]}:{place[1]}")
    assert first["expected"]["well_formed"] == 0
    with pytest.raises(TieoutError, match="which no load has taken yet"):
        books.redrive(offsets=f"{place[0]}:{place[1]}")
    books.take_in()
    books.tie_out()
    (*_, last) = control_totals(services.env, first["run"])
    assert (last.closed, last.seq, last.amounts, sum(last.broken.values())) == (True, 1, {}, 1)
    with pytest.raises(TieoutError, match=r"was redriven already, .* in raw\.dead_letters"):
        books.redrive(offsets=f"{place[0]}:{place[1]}")
    books.redrive(every=True)
    books.take_in()
    shown = commands.show_letter(commands.select(rejected=False, offsets=f"{place[0]}:{place[1]}"), unmask=False)
    assert [link["state"] for link in shown["chain"]] == ["REDRIVEN", "REDRIVEN", "OPEN"]
    assert shown["chain"][0]["letter"] == f"{place[0]}:{place[1]}"
    newest = shown["chain"][-1]["letter"]
    assert (
        commands.show_letter(commands.select(rejected=False, offsets=newest), unmask=False)["chain"] == shown["chain"]
    )
    assert (shown["amount"], shown["currency"]) == ("12.50", "INR")
    assert books.query("select count(*) from metadata.unmask_log") == [(0,)]
    unmasked = commands.show_letter(commands.select(rejected=False, offsets=newest), unmask=True)
    assert "Asha" in unmasked["content"]["raw"]
    assert books.query("select command, letters from metadata.unmask_log") == [("show", 1)]
    books.tie_out()


def test_rejected_rows_are_mended_and_redriven_too(books: Books, tmp_path: Path) -> None:
    invalid = [rule.code for rule in CONTRACT.rules if rule.kind == "invalid" and rule.scope == "event"]
    made = [fault_kinds(CONTRACT)[code](sound(number), 0) for number, code in enumerate(invalid)]
    assert all(isinstance(event, dict) for event in made)
    books.send(*(to_json(event) for event in made if isinstance(event, dict)))
    assert books.query("select count(*) from raw.rejected_transactions") == [(len(invalid),)]
    file = tmp_path / "rejected.jsonl"
    lines = books.export(file, rejected=True, reason="AMOUNT_NOT_POSITIVE")
    assert len(lines) == 1
    with pytest.raises(TieoutError, match="is of rejected_transactions"):
        books.redrive(file=str(file))
    mend(lines, file, first=1000)
    assert books.redrive(file=str(file), rejected=True)["amounts"]["INR"] == {"count": 1, "amount": "107.23"}
    assert books.redrive(rejected=True, every=True)["letters"] == len(invalid) - 1
    books.take_in()
    books.tie_out()
    assert books.query("select transaction_id from raw.transactions") == [("t1000",)]
    assert books.states() == {"REDRIVEN": len(invalid), "OPEN": len(invalid) - 1}
    with pytest.raises(TieoutError, match="was redriven already"):
        books.redrive(file=str(file), rejected=True)


def test_a_dry_run_knows_the_letters_of_a_killed_redrive(books: Books, tmp_path: Path) -> None:
    books.send(*(b"{" for _ in range(2)))
    file, other = tmp_path / "letters.jsonl", tmp_path / "other.jsonl"
    lines = books.export(file)
    mend(lines[:1], file)
    redrive_killed_at(books, "redrive.after-intent", file)
    mend(lines[1:], other)  # the same payment
    told = books.redrive(file=str(other), dry_run=True)
    assert (told["finished"], told["letters"], told["expected"]["new"], told["expected"]["duplicates"]) == (1, 1, 0, 1)


def test_a_write_off_needs_a_reason_and_a_name_and_is_for_good(books: Books) -> None:
    books.send(b'{"amount": 12.50, "currency": "INR"}', b"{", to_json(sound(1)))
    with open_books(books.settings) as connection:
        with pytest.raises(TieoutError, match="needs a reason and a name"):
            write_off(connection, Selection(), " ", "Asha", dry_run=False)
        outcome = write_off(connection, Selection(), "a partner's test", "Asha Iyer", dry_run=False)
        assert (outcome["letters"], outcome["unknown"]) == (2, 1)
        assert outcome["amounts"] == {"INR": {"count": 1, "amount": "12.50"}}
        with pytest.raises(TieoutError, match="no letter of the selection all is open"):
            write_off(connection, Selection(), "again", "Asha Iyer", dry_run=False)
    (place,) = books.query('select min(partition), min("offset") from raw.dead_letters')
    with pytest.raises(TieoutError, match="was written off at"):
        books.redrive(offsets=f"{place[0]}:{place[1]}")
    with pytest.raises(TieoutError, match="2 written off"):
        books.redrive(every=True)
    books.tie_out()


@pytest.fixture(params=["redrive.after-intent", "redrive.while-producing", "redrive.before-confirm"])
def moment(request: pytest.FixtureRequest) -> str:
    assert request.param in failpoints.NAMES
    return str(request.param)


def run_redrive(
    books: Books, file: Path | None, *, moment: str | None, **which: Any
) -> subprocess.CompletedProcess[str]:
    """Redrive in a process of its own, which may be killed at a failpoint."""
    asked = {"settings": {}, "home": str(books.layout.home), "which": {"file": str(file) if file else None, **which}}
    asked["settings"] = json.loads(books.settings.model_dump_json(exclude_none=True)) | {
        "kafka_password_redrive": books.settings.kafka_password_redrive.get_secret_value()  # type: ignore[union-attr]
    }
    return subprocess.run(
        [sys.executable, "-c", REDRIVE],
        input=json.dumps(asked),
        env=os.environ | ({failpoints.VARIABLE: moment} if moment else {}),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
        timeout=280,
    )


def redrive_killed_at(books: Books, moment: str, file: Path | None, **which: Any) -> None:
    order = f"{moment}:5" if moment == "redrive.while-producing" else moment
    child = run_redrive(books, file, moment=order, **which)
    assert child.returncode == -signal.SIGKILL, child.stderr[-2000:]


def test_a_redrive_killed_at_any_moment_is_finished_by_the_next(
    books: Books, services: Handle, tmp_path: Path, moment: str
) -> None:
    books.send(*(b"{" for _ in range(8)))
    file = tmp_path / "letters.jsonl"
    mend(books.export(file), file)
    redrive_killed_at(books, moment, file)
    assert books.query("select count(*) from metadata.letter_decisions where confirmed_at is null") == [(8,)]
    copies = books.stream.drain()
    assert copies == {"redrive.after-intent": 0, "redrive.before-confirm": 8}.get(moment, copies)
    books.load()
    books.tie_out()
    listed = commands.list_letters(Selection(), by="state", letters=True, limit=10)
    assert listed["states"] == {"UNCONFIRMED": 8}
    assert {letter["is_unconfirmed"] for letter in listed["letters"]} == {True}

    outcome = books.redrive(file=str(file))  # the same command again: a person does not know better
    assert (outcome["finished"], outcome["letters"]) == (8, 0)
    assert books.stream.drain() == 8
    books.load()
    books.tie_out()
    assert books.query("select count(*), count(distinct redrive_of) from raw.transactions") == [(8, 8)]
    assert books.query("select count(*) from raw.duplicates") == [(copies,)]
    assert books.query("select distinct successor_book from metadata.dead_letter_book") == [("transactions",)]
    ((run,),) = books.query("select run from metadata.redrive_feeds where closed_at is not null")
    (*_, last) = control_totals(services.env, run)
    assert (last.closed, last.seq) == (True, 8)
    assert books.query("select count(*) from raw.redrive_payloads") == [(0,)]


def test_a_redrive_of_a_rejected_row_that_arrives_twice_counts_once(books: Books, tmp_path: Path) -> None:
    books.send(to_json(sound(1, amount=Decimal(-1))), to_json(sound(2, amount=Decimal(-2))))
    file = tmp_path / "rejected.jsonl"
    books.export(file, rejected=True)
    redrive_killed_at(books, "redrive.before-confirm", file, rejected=True)
    books.redrive()
    assert books.stream.drain() == 4  # both copies in one load
    books.load()
    books.tie_out()
    assert books.query("select count(*) from raw.rejected_transactions where redrive_of is not null") == [(2,)]
    assert books.query("select count(*) from raw.duplicates where redrive_of is not null") == [(2,)]


def test_another_content_under_the_same_letter_is_no_repetition(books: Books) -> None:
    books.send(b"{")
    ((partition, offset),) = books.query('select partition, "offset" from raw.dead_letters')
    rows = [sound(1), sound(2), sound(2), sound(1)]
    for row in rows:
        row["redrive_of"] = f"{partition}:{offset}"
    writer = books.stream.writer
    delivered = writer.deliver(
        [payment(row["transaction_id"], redrive_of=row["redrive_of"], partition=77) for row in rows]
    )
    for table in writer.lake.tables:
        writer.write(table, delivered, books.stream._next | {77: 0}, books.stream._next | {77: 4})
    books.load()
    assert books.query("select transaction_id from raw.transactions") == [("t1",)]
    assert books.query("select reasons from raw.rejected_transactions") == [(["CONFLICTING_DUPLICATE"],)]
    assert books.query("select transaction_id from raw.duplicates order by 1") == [("t1",), ("t2",)]
    books.tie_out()


def test_a_letter_whose_bytes_retention_took_is_named_and_stays_open(books: Books) -> None:
    books.send(b"{", b"[")
    with books.settings.connect() as connection:
        connection.execute(
            'update raw.dead_letters set "offset" = "offset" + 1000000 where value_bytes = 1 and "offset" = '
            '(select min("offset") from raw.dead_letters)'
        )
    outcome = books.redrive(every=True)
    assert (outcome["ok"], outcome["letters"], outcome["bytes_gone"]) == (False, 1, 1)
    assert books.states() == {"OPEN": 1, "REDRIVEN": 1}


def test_a_broker_that_is_away_or_refuses_leaves_nothing_behind(books: Books) -> None:
    books.send(b"{")
    right = books.settings.kafka_place
    with open_books(books.settings) as connection:
        source = FromLake(books.stream.writer.lake, Selection(), skip_decided=False)
        for sender, error, words in (
            (lambda entity: Sender(KafkaPlace("127.0.0.1:1"), "x", entity, 3), OutageError, "does not answer"),
            (lambda entity: Sender(right, "wrong", entity, 20), TieoutError, "refuses the login"),
        ):
            with pytest.raises(error, match=words):
                redrive(connection, source, sender, say=print)
    assert books.query("select count(*) from metadata.redrive_feeds") == [(0,)]
    assert books.states() == {"OPEN": 1}


def test_two_redrives_at_once_do_not_meet(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.send(b"{")
    with books.settings.connect() as other:
        other.execute("select pg_advisory_lock(%s)", [0x72656472697665])
        monkeypatch.setattr("warehouse.dlq.books.only_decider.__wrapped__.__defaults__", (0.3,))
        with pytest.raises(OutageError, match=r"another redrive or write-off is running: role \w+"):
            books.redrive(every=True)
    assert Counter(books.states()) == {"OPEN": 1}


def test_the_database_refuses_a_second_decision_about_a_letter(books: Books) -> None:
    books.send(b"{")
    books.redrive(every=True)
    with books.settings.connect("redrive") as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            'insert into metadata.letter_decisions (topic_id, partition, "offset", book, decision, reason, name) '
            "select topic_id, partition, \"offset\", book, 'WRITTEN_OFF', 'x', 'y' from metadata.dead_letter_book"
        )


@pytest.mark.slow
def test_a_hundred_thousand_letters_go_back_in_bounded_memory(books: Books, services: Handle) -> None:
    total = 100_000
    value = to_json(sound(1, amount="107.23"))
    writer = books.stream.writer
    delivered = writer.deliver([dead_letter("AMOUNT_TYPE", raw_value=value, partition=n % 6) for n in range(total)])
    ends = {partition: -(-(total - partition) // 6) for partition in range(6)}
    for table in writer.lake.tables:
        writer.write(table, delivered, dict.fromkeys(ends, 0), ends)
    del delivered
    books.load()
    child = run_redrive(books, None, every=True, moment=None)
    assert child.returncode == 0, child.stderr[-2000:]
    outcome = json.loads(child.stdout)
    assert outcome["letters"] == total
    print(f"{total} letters in {outcome['seconds']} s, at most {outcome['peak_mb']} MB")
    assert outcome["peak_mb"] < 900
    assert books.states() == {"REDRIVEN": total}
    (*_, last) = control_totals(services.env, outcome["run"])
    assert (last.closed, last.seq, last.broken) == (True, total, {"AMOUNT_TYPE": total})
