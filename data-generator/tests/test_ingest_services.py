"""Files against a real broker and database: each row once, whatever is killed, and said what became of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ingest_files import GOOD, HEADER, write_mapping
from topic_reader import EVENTS, Record, control_totals, read_topic

from control.offsets import end_offsets
from control.roles import dsn
from control.store import BUCKET, Store
from core.bucket import Bucket
from core.layout import CHECKOUT

pytestmark = pytest.mark.services
SAMPLES = CHECKOUT / "data" / "samples"


def run(services: Any, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "control", "ingest", *arguments, "--json"]
    env = {**os.environ, **services.env, **changes}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def records(services: Any, starts: dict[int, int]) -> list[Record]:
    return list(read_topic(services.env, EVENTS, starts))


def query(services: Any, text: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn(services.env, "owner")) as connection:
        return connection.execute(text, parameters or None).fetchall()


def write_file(folder: Path, rows: int, name: str = "may.csv") -> Path:
    lines = (f"{name}-{n},c{n % 50},Shop,{n % 90 + 1}.25,USD,2024-05-01 10:00:00\n" for n in range(rows))
    file = folder / name
    file.write_text(HEADER + "".join(lines), encoding="utf-8")
    return file


def numbers(found: Sequence[Record], header: str = "seq") -> list[int]:
    return sorted(int(record.headers[header]) for record in found)


def test_a_file_is_a_feed_and_the_same_bytes_are_sent_once(services: Any, tmp_path: Path) -> None:
    file = tmp_path / "banksim.csv"
    file.write_bytes((SAMPLES / "files" / "banksim.csv").read_bytes())
    starts = end_offsets(services.env, EVENTS)
    said = report(run(services, str(file), "--as", "banksim"))
    found = records(services, starts)
    assert (said["outcome"], said["rows"], said["acknowledged"], said["closed"]) == ("sent", 200, 200, True)
    assert said["file"] == str(file)
    assert said["sent"]["amounts"] == {"EUR": {"count": 200, "amount": "6296.04"}}
    assert numbers(found) == list(range(1, 201))
    assert numbers(found, "row") == list(range(2, 202))  # line 1 is the header
    assert {record.headers["run"].decode() for record in found} == {said["run"]}
    closing = control_totals(services.env, said["run"])[-1]
    assert closing.file is not None
    assert (closing.closed, closing.seq, closing.file.name) == (True, 200, str(file))
    assert closing.file.rows.amounts == closing.amounts
    again = tmp_path / "other name.csv"
    again.write_bytes(file.read_bytes())
    for each in (file, again):
        said_again = report(run(services, str(each), "--as", "banksim"))
        assert (said_again["outcome"], said_again["run"]) == ("already sent", said["run"])
    assert len(records(services, starts)) == 200


def test_refused_rows_are_kept_with_place_reasons_and_money(services: Any, tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    file = tmp_path / "refused.csv"
    bad = "b1,c1,Shop,12.50,USD,yesterday\n"
    file.write_text(HEADER + GOOD + bad + "b2,too,short\n", encoding="utf-8")
    starts = end_offsets(services.env, EVENTS)
    done = run(services, str(file), "--as", str(mapping.file))
    assert done.returncode == 1
    assert "2 rows cannot be sent" in done.stderr
    assert "line 4: column at: 'yesterday' is no time" in done.stderr
    assert records(services, starts) == []
    said = report(run(services, str(file), "--as", str(mapping.file), "--max-bad-rows", "2"))
    assert (said["rows"], said["acknowledged"], said["refused"]["rows"]) == (4, 2, 2)
    assert said["refused"]["amounts"] == {"USD": {"count": 1, "amount": "12.50"}}
    kept = query(
        services,
        "select line, byte_offset, convert_from(content, 'UTF8'), reasons, currency, amount "
        "from raw.refused_rows where run = %s order by line",
        said["run"],
    )
    offset = len(HEADER + GOOD)
    assert kept == [
        (4, offset, bad.strip(), ["TIME_FORM"], "USD", Decimal("12.5000")),
        (5, offset + len(bad), "b2,too,short", ["ROW_WIDTH"], None, None),
    ]
    file_total = control_totals(services.env, said["run"])[-1].file
    assert file_total is not None
    assert (file_total.rows.count, file_total.refused.count) == (4, 2)


@pytest.mark.parametrize("strike", ["ingest.while-sending:12", "ingest.before-closing"])
def test_a_killed_ingest_is_continued_and_nothing_comes_twice(services: Any, tmp_path: Path, strike: str) -> None:
    mapping = write_mapping(tmp_path)
    file = write_file(tmp_path, 15_000, f"{strike}.csv".replace(":", "-"))
    starts = end_offsets(services.env, EVENTS)
    killed = run(services, str(file), "--as", str(mapping.file), TIEOUT_FAILPOINT=strike)
    assert killed.returncode == -9
    before = len(records(services, starts))
    assert before > 1_000
    said = report(run(services, str(file), "--as", str(mapping.file)))
    assert (said["outcome"], said["acknowledged"], said["continued"]) == ("sent", 15_000, before)
    found = records(services, starts)
    assert numbers(found) == list(range(1, 15_001))
    closing = control_totals(services.env, said["run"])[-1]
    assert (closing.closed, closing.seq) == (True, 15_000)
    last = {p: max(r.offset for r in found if r.partition == p) for p in {r.partition for r in found}}
    assert closing.last_offsets == last
    assert sum(money.amount for money in (closing.amounts or {}).values()) == sum(
        json.loads(record.value or b"", parse_float=Decimal)["amount"] for record in found
    )


def test_other_bytes_under_a_known_name_are_refused_with_both_hashes(services: Any, tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    file = write_file(tmp_path, 3, "known.csv")
    first = report(run(services, str(file), "--as", str(mapping.file)))
    write_file(tmp_path, 4, "known.csv")
    starts = end_offsets(services.env, EVENTS)
    done = run(services, str(file), "--as", str(mapping.file))
    assert done.returncode == 78
    assert first["sha256"] in done.stderr
    assert "--changed" in done.stderr
    assert records(services, starts) == []


def command(services: Any, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **services.env}
    whole = [sys.executable, "-P", "-m", "control", *words]
    return subprocess.run(whole, env=env, capture_output=True, text=True, timeout=120, check=False)


def refused_of(services: Any, run: str) -> dict[str, Any]:
    listed = command(services, "refused", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    return next(each for each in found if each["run"] == run)


def test_refused_rows_are_mended_in_a_file_and_sent_again_once(services: Any, tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    file = tmp_path / "to mend.csv"
    bad = 'm1,c1,"Shop, One",12.50,USD,yesterday\nm2,too,short\nm3,c1,Shop,1.00,USD,never\n'
    file.write_text(HEADER + GOOD + bad, encoding="utf-8")
    said = report(run(services, str(file), "--as", str(mapping.file), "--max-bad-rows", "all"))
    states = refused_of(services, said["run"])["states"]
    assert states["OPEN"] == {"rows": 3, "amounts": {"USD": {"count": 2, "amount": "13.5000"}}}
    rows = tmp_path / "rows.csv"
    assert command(services, "refused", "export", said["run"], "--to", str(rows)).returncode == 0
    assert rows.stat().st_mode & 0o777 == 0o600
    assert rows.read_text().splitlines()[1] == '4,m1,c1,"Shop, One",12.50,USD,yesterday'
    assert query(services, "select count(*) from metadata.unmask_log where selection = %s", said["run"]) == [(1,)]
    mended = (
        rows.read_text()
        .replace("yesterday", "2024-05-01 10:00:00")
        .replace("too,short", "c2,Shop,3,USD,2024-05-02 10:00:00")
    )
    rows.write_text(mended, encoding="utf-8")
    starts = end_offsets(services.env, EVENTS)
    done = command(services, "refused", "redrive", said["run"], "--from", str(rows), "--json")
    again = report(done)
    assert (again["acknowledged"], again["refused"]["rows"]) == (2, 1)
    ids = {json.loads(record.value or b"")["transaction_id"] for record in records(services, starts)}
    assert ids == {"m1", "m2"}
    assert refused_of(services, said["run"])["states"] == {
        "SENT_AGAIN": {"rows": 3, "amounts": states["OPEN"]["amounts"]}
    }
    assert refused_of(services, again["run"])["states"]["OPEN"]["rows"] == 1
    twice = command(services, "refused", "redrive", said["run"], "--from", str(rows))
    assert twice.returncode == 1
    assert "has no open refused rows" in twice.stderr
    off = command(services, "refused", "write-off", again["run"], "--reason", "no payment")
    assert (off.returncode, off.stdout) == (0, "1 rows are written off.\n")
    assert len(records(services, starts)) == 2


def test_equal_refused_rows_of_two_files_are_two_payments(services: Any, tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    bad = "e%d,c1,Shop,1.00,USD,2024-05-01 10:00:00\nsame,c1,Shop,12.50,USD,yesterday\n"
    runs = []
    for number in (1, 2):
        file = tmp_path / f"equal {number}.csv"
        file.write_text(HEADER + bad % number, encoding="utf-8")
        runs.append(report(run(services, str(file), "--as", str(mapping.file), "--max-bad-rows", "1"))["run"])
    mended = write_mapping(tmp_path, name="later")
    stated = '{column: at, written: {format: "%Y-%m-%d %H:%M:%S", zone: UTC}}'
    text = mended.file.read_text(encoding="utf-8")
    assert stated in text
    mended.file.write_text(text.replace(stated, '{constant: "2024-05-03T00:00:00Z"}'), encoding="utf-8")
    said = [report(command(services, "refused", "redrive", each, "--as", str(mended.file), "--json")) for each in runs]
    assert [(each["outcome"], each["acknowledged"]) for each in said] == [("sent", 1), ("sent", 1)]


def test_refused_rows_are_sent_again_by_a_mended_mapping(services: Any, tmp_path: Path) -> None:
    file = tmp_path / "comma.csv"
    file.write_text(HEADER + GOOD + 'k1,c1,Shop,"1.234,50",USD,2024-05-01 10:00:00\n', encoding="utf-8")
    said = report(run(services, str(file), "--as", str(write_mapping(tmp_path).file), "--max-bad-rows", "1"))
    mended = write_mapping(tmp_path, written='decimal: ",", group: "."', name="mended")
    starts = end_offsets(services.env, EVENTS)
    again = report(command(services, "refused", "redrive", said["run"], "--as", str(mended.file), "--json"))
    assert again["sent"]["amounts"] == {"USD": {"count": 1, "amount": "1234.50"}}
    (record,) = records(services, starts)
    assert json.loads(record.value or b"")["transaction_id"] == "k1"


def test_a_file_without_ids_that_shares_rows_with_another_is_refused_until_somebody_says_what_it_is(
    services: Any, tmp_path: Path
) -> None:
    rows = [f"0,'C{n}','3','M','28007','M1','28007','es_health',{n}.50,0\n" for n in range(1, 121)]
    header = "step,customer,age,gender,zipcodeOri,merchant,zipMerchant,category,amount,fraud\n"
    first, second, third = (tmp_path / name for name in ("first.csv", "second.csv", "third.csv"))
    first.write_text(header + "".join(rows[:80]), encoding="utf-8")
    second.write_text(header + "".join(rows[40:]), encoding="utf-8")
    third.write_text(header + "".join(rows[39:]), encoding="utf-8")
    starts = end_offsets(services.env, EVENTS)
    report(run(services, str(first), "--as", "banksim"))
    done = run(services, str(second), "--as", "banksim")
    assert done.returncode == 78
    assert "about 50 % of its rows equal rows of" in done.stderr
    report(run(services, str(second), "--as", "banksim", "--overlap", str(first)))
    ids = [json.loads(record.value or b"")["transaction_id"] for record in records(services, starts)]
    assert (len(ids), len(set(ids))) == (160, 120)  # the 40 equal rows have the ids of the first file
    report(run(services, str(third), "--as", "banksim", "--overlap", "none"))
    ids = [json.loads(record.value or b"")["transaction_id"] for record in records(services, starts)]
    assert (len(ids), len(set(ids))) == (241, 201)


def test_a_folder_goes_on_behind_a_bad_file_and_says_so(services: Any, tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    write_file(folder, 3, "a.csv")
    (folder / "b.csv").write_text(HEADER.replace("shop", "store") + GOOD, encoding="utf-8")
    write_file(folder, 4, "c.csv")
    done = run(services, str(folder), "--as", str(mapping.file))
    assert done.returncode == 1
    assert [json.loads(line)["acknowledged"] for line in done.stdout.splitlines()] == [3, 4]
    assert "b.csv line 1: there is no column shop" in done.stderr
    assert "1 of 3 files were not ingested" in done.stderr


def test_a_mended_mapping_makes_a_feed_of_its_own(services: Any, tmp_path: Path) -> None:
    file = write_file(tmp_path, 3, "mended.csv")
    first = report(run(services, str(file), "--as", str(write_mapping(tmp_path).file)))
    mended = write_mapping(tmp_path, "csv: {line_breaks: true}", name="mended")
    second = report(run(services, str(file), "--as", str(mended.file)))
    assert first["run"] != second["run"]
    assert second["acknowledged"] == 3


def test_a_dry_run_needs_no_service_and_sends_nothing(tmp_path: Path) -> None:
    file = SAMPLES / "files" / "stripe_balance.csv"
    command = [
        sys.executable,
        "-P",
        "-m",
        "control",
        "ingest",
        str(file),
        "--as",
        "stripe-balance",
        "--dry-run",
        "--json",
    ]
    env = {**os.environ, "TIEOUT_HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    said = report(done)
    assert (said["outcome"], said["sent"]["rows"], said["left_out"]["rows"]) == ("dry run", 4, 2)
    assert said["left_out"]["amounts"] == {"USD": {"count": 2, "amount": "-11.99"}}


def test_two_at_once_send_a_file_once(services: Any, tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    file = write_file(tmp_path, 3_000, "two.csv")
    starts = end_offsets(services.env, EVENTS)
    command = [sys.executable, "-P", "-m", "control", "ingest", str(file), "--as", str(mapping.file), "--json"]
    env = {**os.environ, **services.env}
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    ended = [(process.communicate(timeout=120), process.returncode) for process in both]
    assert sorted(code for _, code in ended)[0] == 0
    assert all(code in {0, 75} for _, code in ended), ended
    assert numbers(records(services, starts)) == list(range(1, 3_001))


def test_objects_of_a_store_and_files_of_a_folder_are_taken_as_they_come_and_once(
    services: Any, store: Store, tmp_path: Path
) -> None:
    mapping = write_mapping(tmp_path)
    prefix = f"in-{tmp_path.name}"
    bucket = Bucket(BUCKET, prefix, store.endpoint, "us-east-1", store.access_key, store.secret_key)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    starts = end_offsets(services.env, EVENTS)
    bucket.create("a.csv", write_file(tmp_path, 3, "stored-a.csv").read_bytes())
    words = [f"s3://{BUCKET}/{prefix}/", str(inbox), "--as", str(mapping.file), "--follow", "--json"]
    command = [sys.executable, "-P", "-m", "control", "ingest", *words]
    env = {**os.environ, **services.env, **store.settings, "LAKE_URL": services.env.get("LAKE_URL", "file:data")}
    following = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        assert (first["file"], first["acknowledged"]) == (f"s3://{BUCKET}/{prefix}/a.csv", 3)
        bucket.create("b.csv", write_file(tmp_path, 4, "stored-b.csv").read_bytes())
        bucket.create("c.csv", write_file(tmp_path, 4, "stored-b.csv").read_bytes())  # the same bytes
        (inbox / "d.csv.part").write_bytes(write_file(tmp_path, 5, "stored-d.csv").read_bytes())
        said = [json.loads(following.stdout.readline()) for _ in range(2)]
        assert [(each["file"][-5:], each["outcome"]) for each in said] == [("b.csv", "sent"), ("c.csv", "already sent")]
        (inbox / "bad.csv").write_text("no,such,columns\n1,2,3\n", encoding="utf-8")
        os.utime(inbox / "d.csv.part", (1_700_000_000, 1_700_000_000))
        (inbox / "d.csv.part").rename(inbox / "d.csv")
        assert json.loads(following.stdout.readline())["file"] == str(inbox / "d.csv")
    finally:
        following.send_signal(signal.SIGTERM)
        _, err = following.communicate(timeout=60)
    assert following.returncode == 0, err
    assert len(records(services, starts)) == 3 + 4 + 5


@pytest.mark.slow
def test_a_broker_that_goes_away_leaves_a_file_that_the_next_ingest_completes(services: Any, tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    file = write_file(tmp_path, 9_000, "away.csv")
    starts = end_offsets(services.env, EVENTS)
    pause = tmp_path / "pause"
    words = [str(file), "--as", str(mapping.file), "--json"]
    env = {**os.environ, **services.env, "TIEOUT_FAILPOINT": f"ingest.while-sending:4 {pause}"}
    command = [sys.executable, "-P", "-m", "control", "ingest", *words]
    sending = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not pause.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    services.stop("kafka")
    pause.unlink()
    time.sleep(1)
    sending.send_signal(signal.SIGTERM)
    out, err = sending.communicate(timeout=60)
    services.start("kafka")
    assert sending.returncode == 1, err
    said = json.loads(out)
    assert (said["outcome"], said["closed"]) == ("failed", False)
    saved = Path(services.home) / "data" / "undelivered" / f"{said['run']}.jsonl"
    assert saved.exists()
    assert not control_totals(services.env, said["run"])
    again = report(run(services, str(file), "--as", str(mapping.file)))
    assert (again["acknowledged"], again["closed"]) == (9_000, True)
    assert not saved.exists()
    assert numbers(records(services, starts)) == list(range(1, 9_001))


@pytest.mark.slow
def test_a_file_that_is_killed_again_and_again_goes_on_from_what_was_written_down(
    services: Any, tmp_path: Path
) -> None:
    mapping = write_mapping(tmp_path)
    file = write_file(tmp_path, 60_000, "again and again.csv")
    starts = end_offsets(services.env, EVENTS)
    words = ["tieout", "ingest", str(file), "--as", str(mapping.file), "--json"]
    program = (
        "import sys, data_generator.ingest.sending as sending; from control.cli import main; "
        f"sending.ADVANCE_SECONDS = 0.05; sys.argv = {words!r}; main()"
    )

    def send(**changes: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **services.env, **changes}
        command = [sys.executable, "-P", "-c", program]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False)

    for thousands in (25, 40, 55):
        assert send(TIEOUT_FAILPOINT=f"ingest.while-sending:{thousands}").returncode == -9
    written_down = query(services, "select known_seq from metadata.files where name = %s", str(file))
    assert written_down[0][0] > 10_000
    said = report(send())
    assert (said["acknowledged"], said["closed"]) == (60_000, True)
    assert said["continued"] >= written_down[0][0]
    assert numbers(records(services, starts)) == list(range(1, 60_001))
