"""Inputs rebuilt from public bug reports of people who do this job: all are sent, the platform runs once, then we ask.

Each case has a year of its own, because a statement is compared with whole days. Two more need a platform of their own:
tests/test_public_cases_alone.py.
"""

import json
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from partner import (
    SETTLEMENT_DETAIL,
    Sender,
    checked,
    differences,
    of_two_parsers,
    payment,
    reconcile,
    reopened,
    statement,
)

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def sender(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Sender:
    return Sender(platform, tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="module")
def cards(sender: Sender) -> dict[str, Any]:
    """Replay every card file; return how each command ended."""
    ids = {digit: digit * 32 for digit in "123456789"}
    blank = {"trans_date_trans_time": "2006-03-01 10:00:18"}
    rejected = {"trans_date_trans_time": "2015-03-01 10:00:18"}
    twice = {"trans_date_trans_time": "2018-03-01 10:00:18", "trans_num": "82" * 16, "amt": "7.00"}
    return {
        "02": sender.cards(
            "nul",
            {"trans_date_trans_time": "2002-03-01 10:00:18", "trans_num": ids["1"]},
            {"trans_date_trans_time": "2002-03-01 10:00:18", "trans_num": ids["2"], "first": "An\0n"},
        ),
        "05": sender.cards(
            "never",
            {"trans_date_trans_time": "2005-03-01 10:00:18", "trans_num": "51" * 16},
            {"trans_date_trans_time": "9999-12-31 23:59:59", "trans_num": "d6f424a0e0decd65799a2f1c1b9b5334"},
            {"trans_date_trans_time": "2005-03-01 11:00:00", "trans_num": "52" * 16},
        ),
        "06": sender.cards(
            "blank", {**blank, "trans_num": "61" * 15 + "6 "}, {**blank, "trans_num": "62" * 16, "amt": "8.00"}
        ),
        "15": sender.cards(
            "rejected",
            {**rejected, "trans_num": "71" * 16, "amt": "10.00"},
            {**rejected, "trans_num": "72" * 16, "amt": "0.00"},
            {**rejected, "trans_num": "73" * 16, "amt": "-25.00"},
            {**rejected, "trans_num": "7" * 65, "amt": "5.00"},
            {**rejected, "trans_num": "75" * 16, "amt": "6.00", "merchant": "fraud_"},
            {**rejected, "trans_num": "76" * 16, "amt": "7.00", "first": "A" * 101, "last": "B" * 101},
        ),
        "18": sender.cards(
            "twice",
            {**twice, "trans_num": "81" * 16, "amt": "10.00"},
            {
                "trans_date_trans_time": "2018-03-02 09:00:00",
                "cc_num": "4000000000000010",
                "trans_num": "81" * 16,
                "amt": "12.00",
                "first": "Bo",
            },
            twice,
            twice,
        ),
    }


@pytest.fixture(scope="module")
def loaded(sender: Sender, cards: dict[str, Any]) -> Any:
    """Send every event, run once; return the platform."""
    nfc, nfd = (unicodedata.normalize(form, "Café Example") for form in ("NFC", "NFD"))
    huge = [b"1844674407370955.16", b"1844674407370955.17", b"10.00"]
    sender.events(
        "gateway-case01",
        [payment(f"c01-{n}", "2001-03-01T10:11:12+05:30", amount=amount) for n, amount in enumerate(huge, 1)],
        closing={"INR": (3, "3689348814741920.33")},
    )
    when = "2003-03-01T10:11:12+05:30"
    sender.events("sftp[/in/20250301.csv]", [payment("c03-1", when)])
    sender.events("batch[eu]7", [payment("c03-2", when, amount=11)])
    when, settled = "2008-03-01T10:11:12+05:30", "2008-03-01T04:41:12Z"
    sender.events(
        "case08",
        [
            payment("c08-1", when, status="PENDING", amount=100),
            payment("c08-2", when, status="PENDING", amount=5, customer_id="CX0802"),
            payment("c08-2", when, status="SUCCESS", amount=5, customer_id="CX0802"),
        ],
        headers={
            1: [("status_at", settled)],
            2: [("status_at", settled)],
            3: [("status_at", "2099-01-01T00:00:00Z")],
        },
    )
    moments = ("2011-03-01T02:00:00", "2011-03-01T12:00:00", "2011-03-02T02:00:00", "2011-03-02T12:00:00")
    named = enumerate(zip("ABCD", moments, strict=True), 1)
    sender.events("case11", [payment(f"c11-{name}", f"{at}+05:30", amount=10 * n) for n, (name, at) in named])
    when = "2012-03-01T10:11:12+05:30"
    amounts = {"c12-1001": 10, "0012": 20, "c12-1003": 30}
    sender.events("case12", [payment(name, when, amount=n, customer_id=f"CX12{n}") for name, n in amounts.items()])
    sender.events(
        "case13",
        [payment("c13-1", "2013-03-02T00:00:00+00:00"), payment("c13-2", "2013-03-01T10:11:12+05:30", amount=20)],
    )
    when = "2014-03-01T10:11:12+05:30"
    sender.events(
        "case14",
        [
            payment("c14-1", when, amount=1230, currency="EUR"),
            payment("c14-2", when, amount=1000, currency="EUR"),
            payment("c14-3", when, amount=1234, currency="KWD"),
        ],
    )
    when = "2017-03-01T10:11:12+05:30"
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("ms", {"timestamp": "2017-03-01T10:11:12.123456+05:30"}, {"timestamp": "2017-03-01T10:11:12.123+05:30"}),
        ("nfd", {"merchant_name": nfc}, {"merchant_name": nfd}),
        ("null", {"device_type": None, "ip_address": None}, {"device_type": "", "ip_address": ""}),
        ("blank", {"city": "Pune"}, {"city": "Pune "}),
        ("ok", {"timestamp": "2017-03-01T10:11:12+00:00"}, {"timestamp": "2017-03-01T10:11:12.000Z"}),
    ]
    sender.events(
        "case17",
        [
            payment(f"c17-{name}", when, customer_id=f"CX17-{name}", status=status, **fields)
            for name, before, after in pairs
            for status, fields in (("PENDING", before), ("SUCCESS", after))
        ],
    )
    sender.events("case19", of_two_parsers())
    fields = {"payment_method": "Credit Card", "city": None, "state": None, "country": "NL", "currency": "EUR"}
    sender.events(
        "case20",
        [
            payment("8818000000000001", "2010-03-01T00:21:32+01:00", amount=31.45, **fields),
            payment("8818000000000002", "2010-03-01T10:17:31+01:00", amount=19.95, **fields),
        ],
    )
    sender.events("case22", [payment("c22-1", "2007-03-01T10:11:12+05:30", amount=12.5, currency="EUR")])
    sender.events("case23", [payment("c23-1", "2016-03-01T10:11:12+05:30", amount=12.5, currency="EUR")])
    sender.events(
        "case29",
        [
            payment("c29-1", "2004-03-01T10:11:12+05:30", amount="64.89"),
            payment("c29-2", "2004-03-01T10:11:12+05:30", amount="10.00", customer_id="CX2902"),
        ],
    )
    result = sender.platform.json("run")
    assert result["ok"]
    return sender.platform


def test_very_large_amounts_are_counted_everywhere_and_stop_nothing(loaded: Any) -> None:
    query = "select success_amount::numeric(18,2)::text from marts.daily_revenue_totals"
    assert loaded.rows(f"{query} where occurred_on = '2001-03-01'") == [("3689348814741920.33",)]
    rupees = [each for each in checked(loaded)["totals"] if each["currency"] == "INR"]
    assert rupees
    assert {Decimal(each["drift"]["amount"]) for each in rupees} == {0}
    # One id came with two amounts in two partitions: the live view took whichever was there first.
    reopened(loaded)
    assert checked(loaded)["verdict"] == "OK"


def test_a_nul_byte_in_a_card_file_is_refused_by_line_and_column_and_nothing_is_sent(
    loaded: Any, cards: dict[str, Any]
) -> None:
    assert cards["02"].returncode == 1
    assert "nul.csv line 3, column first" in cards["02"].stderr
    assert loaded.rows(f"select count(*) from raw.transactions where transaction_id = '{'1' * 32}'") == [(0,)]


def test_a_feed_named_with_brackets_is_shown_by_its_whole_name(loaded: Any) -> None:
    done = loaded.script("tieout", "proof")
    assert done.returncode == 0, done.stdout + done.stderr
    for feed in ("sftp[/in/20250301.csv]", "batch[eu]7"):
        assert feed in done.stdout
        (line,) = [line for line in done.stdout.splitlines() if feed in line]
        assert "UNATTESTED" in line


def test_a_date_that_means_never_does_not_break_a_feed(loaded: Any, cards: dict[str, Any]) -> None:
    assert "Traceback" not in cards["05"].stderr
    assert cards["05"].returncode == 1
    assert "never.csv line 3, column trans_date_trans_time" in cards["05"].stderr
    sent = f"select count(*) from raw.transactions where transaction_id in ('{'51' * 16}', '{'52' * 16}')"
    assert loaded.rows(sent) == [(0,)]


def test_an_id_with_a_blank_at_its_end_is_refused_and_never_trimmed(loaded: Any, cards: dict[str, Any]) -> None:
    assert cards["06"].returncode == 1
    assert "blank.csv line 2, column trans_num" in cards["06"].stderr
    assert loaded.rows(f"select count(*) from raw.transactions where transaction_id like '{'61' * 15}%'") == [(0,)]


def test_a_header_from_the_future_is_not_believed(loaded: Any) -> None:
    (row,) = loaded.rows(
        "select settlement_seconds < 86400 * 366 * 40 from marts.fact_transactions where transaction_id = 'c08-2'"
    )
    assert row == (True,)
    found = loaded.json("pending", "--older-than", "1d")
    (pending,) = [each for each in found["transactions"] if each["transaction_id"] == "c08-1"]
    assert 0 < pending["age_seconds"] < 86400 * 366 * 40


def test_a_statement_cut_at_midnight_utc_is_compared_by_its_own_zone(loaded: Any, tmp_path: Path) -> None:
    text = (
        "transaction_id,amount,currency,status,date\n"
        "c11-B,20.00,INR,SUCCESS,2011-03-01T06:30:00Z\nc11-C,30.00,INR,SUCCESS,2011-03-01T20:30:00Z\n"
    )
    code, result, _ = reconcile(loaded, statement(tmp_path, "utc-day.csv", text), "--zone", "UTC")
    assert (code, result["matched"], result["differences"]) == (0, 2, [])


def test_ids_that_look_alike_are_refused_or_shown_with_what_is_hidden_in_them(loaded: Any, tmp_path: Path) -> None:
    text = (
        "transaction_id,amount,currency,status,date\n"
        "\u200bc12-1001,10.00,INR,SUCCESS,2012-03-01\nc12-1003\ufeff,30.00,INR,SUCCESS,2012-03-01\n"
        '"=""0012""",20.00,INR,SUCCESS,2012-03-01\n'
    )
    done = loaded.script("tieout", "reconcile", statement(tmp_path, "statement.csv", text))
    assert done.returncode == 1
    for name in ("<U+200B>c12-1001", "c12-1003<U+FEFF>", '="0012"'):
        assert name in done.stdout


@pytest.mark.parametrize("when", ["2013-03-01 99:99:99", "2013-03-01T10:00:00+99:99"])
def test_a_time_that_no_clock_shows_is_refused_by_line_and_column(loaded: Any, tmp_path: Path, when: str) -> None:
    text = f"transaction_id,amount,currency,status,date\nc13-2,20.00,INR,SUCCESS,{when}\n"
    code, result, said = reconcile(loaded, statement(tmp_path, "nonsense.csv", text))
    assert (code, result) == (1, {})
    assert "nonsense.csv line 2, column date" in said


def test_the_end_of_a_day_is_the_next_day(loaded: Any, tmp_path: Path) -> None:
    text = "transaction_id,amount,currency,status,date\nc13-1,10.00,INR,SUCCESS,2013-03-01T24:00:00Z\n"
    code, result, _ = reconcile(loaded, statement(tmp_path, "end-of-day.csv", text))
    assert (code, result["matched"], result["differences"]) == (0, 1, [])


def test_a_group_sign_is_declared_and_never_guessed(loaded: Any, tmp_path: Path) -> None:
    head = "transaction_id;amount;currency;status;date\n"
    german = head + "c14-1;1.230;EUR;SUCCESS;2014-03-01\nc14-2;1.000;EUR;SUCCESS;2014-03-01\n"
    dinar = head.replace(";", ",") + 'c14-3,"1,234",KWD,SUCCESS,2014-03-01\n'
    path = statement(tmp_path, "german-whole.csv", german)
    code, result, _ = reconcile(loaded, path)
    assert (code, result) == (1, {}), "1.230 EUR is no amount with two digits"
    code, result, _ = reconcile(loaded, path, "--group", ".")
    assert (code, result["matched"]) == (1, 2)
    assert differences(result) == {("MISSING_WITH_THEM", "c14-3")}
    path = statement(tmp_path, "dinar.csv", dinar)
    code, result, _ = reconcile(loaded, path)
    assert (code, result) == (1, {})
    code, result, _ = reconcile(loaded, path, "--group", ",")
    assert result["matched"] == 1


def test_what_we_reject_stands_on_the_gateways_statement_as_rejected(loaded: Any, cards: dict[str, Any]) -> None:
    assert cards["15"].returncode == 0, cards["15"].stderr
    code, result, _ = reconcile(loaded, str(loaded.home / "data" / "batch_files" / "gateway-2015-03-01.csv"))
    assert (code, result["matched"]) == (1, 1)
    assert {row["kind"] for row in result["differences"]} == {"REJECTED_WITH_US"}
    assert len(result["differences"]) == 5
    amount = "select success_amount::numeric(9,2)::text from marts.daily_revenue_totals"
    assert loaded.rows(f"{amount} where occurred_on = '2015-03-01'") == [("10.00",)]


def test_a_settlement_that_differs_names_the_field_and_both_values(loaded: Any) -> None:
    query = "select transaction_id, status from marts.fact_transactions where transaction_id like 'c17-%' order by 1"
    assert dict(loaded.rows(query)) == {
        "c17-blank": "PENDING",
        "c17-ms": "PENDING",
        "c17-nfd": "PENDING",
        "c17-null": "PENDING",
        "c17-ok": "SUCCESS",
    }
    conflicts = loaded.rows("select transaction_id, conflict from raw.rejected_transactions where run = 'case17'")
    fields = {name: [each["field"] for each in conflict["differs"]] for name, conflict in conflicts}
    assert fields == {
        "c17-blank": ["city"],
        "c17-ms": ["timestamp"],
        "c17-nfd": ["merchant_name"],
        "c17-null": ["device_type", "ip_address"],
    }
    shown = loaded.tieout("dlq", "list", "--rejected", "--letters", "--source", "case17")
    assert 'city "Pune" stands, "Pune<U+0020>" came' in shown


IDS_OF_18 = f"'{'81' * 16}', '{'82' * 16}'"


def test_one_id_on_two_days_is_one_payment_and_one_conflict(loaded: Any, cards: dict[str, Any]) -> None:
    assert cards["18"].returncode == 0, cards["18"].stderr
    query = f"select amount::numeric(9,2)::text from marts.fact_transactions where transaction_id in ({IDS_OF_18})"
    assert {row[0] for row in loaded.rows(query)} == {"10.00", "7.00"}
    folder = loaded.home / "data" / "batch_files"
    code, result, _ = reconcile(loaded, str(folder / "gateway-2018-03-01.csv"))
    assert (code, result["differences"]) == (0, [])
    code, result, _ = reconcile(loaded, str(folder / "gateway-2018-03-02.csv"))
    assert code == 1
    assert len(result["differences"]) == 1


def test_what_two_json_parsers_read_otherwise_is_the_same_to_stream_live_view_and_redrive(loaded: Any) -> None:
    dead = loaded.rows("select reasons from raw.dead_letters where run = 'case19'")
    assert dead == [(["MALFORMED_JSON"],)] * 2
    taken = "select transaction_id from marts.fact_transactions where transaction_id like 'c19-%'"
    assert loaded.rows(taken) == [("c19-plain",)]
    told = loaded.json("dlq", "redrive", "--reason", "MALFORMED_JSON", "--source", "case19", "--dry-run")["expected"]
    assert (told["well_formed"], told["malformed"]) == (0, {"MALFORMED_JSON": 2})
    assert {each["drift"]["count"] for each in checked(loaded)["totals"] if each["currency"] == "INR"} == {0}


def test_a_settlement_report_is_read_without_its_rows_of_other_kinds(loaded: Any, tmp_path: Path) -> None:
    path = statement(tmp_path, "settlement_detail.csv", SETTLEMENT_DETAIL)
    columns = (
        "transaction_id=Psp Reference,amount=Gross Credit (GC),currency=Gross Currency,status=Type,date=Creation Date"
    )
    code, result, _ = reconcile(
        loaded, path, "--map", columns, "--status", "Settled=SUCCESS", "--where", "Type=Settled"
    )
    assert (code, result["matched"], result["differences"]) == (0, 2, [])


def test_headers_are_found_as_people_read_them(loaded: Any, tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Währung")
    path = statement(
        tmp_path, "nfd.csv", f"Referenz;Betrag;{decomposed};Status;Datum\nc22-1;12,50;EUR;SUCCESS;2007-03-01\n"
    )
    columns = "transaction_id=Referenz,amount=Betrag,currency=Währung,status=Status,date=Datum"
    code, result, _ = reconcile(loaded, path, "--decimal", ",", "--map", columns)
    assert (code, result["matched"], result["differences"]) == (0, 1, [])
    text = 'transaction_id,"amount\n",currency,status,date\nc22-1,12.50,EUR,SUCCESS,2007-03-01\n'
    code, result, _ = reconcile(loaded, statement(tmp_path, "linebreak.csv", text))
    assert (code, result["matched"], result["differences"]) == (0, 1, [])
    text = "sep=;\r\ntransaction_id;amount;currency;status;date\r\nc22-1;12.50;EUR;SUCCESS;2007-03-01\r\n"
    path = statement(tmp_path, "sep.csv", text)
    code, result, said = reconcile(loaded, path)
    assert code == 0 or "--skip-lines 1" in said
    code, result, _ = reconcile(loaded, path, "--skip-lines", "1")
    assert (code, result["matched"], result["differences"]) == (0, 1, [])


def test_blank_rows_are_empty_lines_and_other_endings_are_refused_by_line(loaded: Any, tmp_path: Path) -> None:
    head, row = "transaction_id,amount,currency,status,date\n", "c23-1,12.50,EUR,SUCCESS,2016-03-01\n"
    code, result, _ = reconcile(loaded, statement(tmp_path, "blank.csv", head + ",,,,\n" + row + ",,,,\n,,,,\n"))
    assert (code, result["matched"], result["differences"]) == (0, 1, [])
    for name, ending in {
        "short-total.csv": "Total,12.50\n",
        "end-of-file.csv": "***END OF FILE***\n",
        "total-amount.csv": "Total amount,12.50,EUR,1,\n",
    }.items():
        code, result, said = reconcile(loaded, statement(tmp_path, name, head + row + ending))
        assert (code, result) == (1, {}), name
        assert f"{name} line 3" in said


def test_a_second_round_mends_letters_saved_on_windows_and_ends_a_feed_whose_id_came_twice(
    loaded: Any, sender: Sender, tmp_path: Path
) -> None:
    file = tmp_path / "letters.jsonl"
    exported = loaded.json("dlq", "export", str(file), "--reason", "AMOUNT_TYPE", "--source", "case29")
    assert exported["letters"] == 2
    mended = tmp_path / "mended.jsonl"
    lines = file.read_text(encoding="utf-8").replace('"64.89"', "64.89").replace('"10.00"', "10.00").splitlines()
    mended.write_bytes(b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode())
    loaded.tieout("dlq", "redrive", "--from", str(mended))

    for letter, amount, seqs in (("a", 10, [1, 2, 3, 4, 5]), ("b", 20, [1, 2, 3, 5])):
        events = [
            payment(f"c09-{letter}{seq}", "2009-03-01T10:11:12+05:30", amount=amount, customer_id=f"CX09{seq}")
            for seq in seqs
        ]
        sender.events("partner-7", events, seqs=seqs, closing={"INR": (5, f"{5 * amount}.00")})
    done = loaded.script("tieout", "run", "--json")
    assert done.returncode == 1
    result = loaded.script("tieout", "proof", "--json")
    assert result.returncode == 1
    different = [each for each in json.loads(result.stdout)["equations"] if each["verdict"] == "DIFFERENT"]
    assert {each["scope"]["feed"] for each in different} == {"partner-7"}
    assert loaded.rows(
        "select count(*), sum(amount) = 74.89 from marts.fact_transactions where transaction_id like 'c29-%'"
    ) == [(2, True)]

    loaded.tieout("feed", "void", "partner-7", "--reason", "the sender began again at 1")
    assert loaded.json("proof")["ok"]
