"""A statement against silver and gold: what was damaged is found, exactly that, and it adds up."""

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from own_database import OwnDatabase
from silver_and_statement import COLUMNS, INSERT, NUMBER, Row, books, statement_of

from core.errors import TieoutError
from core.layout import Layout
from warehouse.errors import DatabaseAwayError
from warehouse.reconcile import reconcile, show_reconciliation
from warehouse.reconcile.dialect import Dialect, make_dialect
from warehouse.reconcile.errors import StatementFileError

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def filled(migrated: OwnDatabase) -> Iterator[OwnDatabase]:
    """Two loads in silver, both in gold."""
    migrated.empty()
    with migrated.connect() as db:
        db.execute("drop table if exists marts.daily_revenue_totals, marts.fact_transactions")
        db.cursor().executemany(INSERT, books())
        db.execute("insert into metadata.load_audit (status) values ('RUNNING'), ('RUNNING'), ('RUNNING')")
        db.execute(
            "insert into metadata.builds (build_id, status, finished_at, full_refresh, lookback, project_hash)"
            " values (gen_random_uuid(), 'SUCCESS', now(), true, true, 'x')"
        )
        db.execute(
            "insert into metadata.processed_loads (load_id, build_id)"
            " select load_id, build_id from metadata.builds, generate_series(1, 2) as load_id"
        )
    with migrated.connect("dbt") as db:
        db.execute("""
            create table marts.fact_transactions as
            select distinct on (transaction_id) transaction_id, amount, currency, status,
                (occurred_at at time zone 'UTC' + make_interval(mins => utc_offset_minutes))::date as occurred_on
            from raw.transactions order by transaction_id, status <> 'PENDING' desc
        """)
    yield migrated
    with migrated.connect() as db:
        db.execute("drop table if exists marts.fact_transactions")
    migrated.empty()


@pytest.fixture
def check(filled: OwnDatabase, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write a statement and reconcile it."""

    def run(
        rows: Sequence[Row], footer: Sequence[Sequence[Any]] = (), dialect: Dialect | None = None, **options: Any
    ) -> dict[str, Any]:
        path = tmp_path / "statement.csv"
        with path.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(COLUMNS)
            writer.writerows([row[name] for name in COLUMNS] for row in rows)
            writer.writerows(footer)
        return reconcile(path, dialect or Dialect(), settings=filled, layout=Layout(tmp_path, tmp_path), **options)

    return run


def found(result: dict[str, Any]) -> set[tuple[str, str]]:
    return {(row["kind"], row["transaction_id"]) for row in result["differences"]}


def test_the_whole_statement_agrees_and_adds_up(check: Any) -> None:
    rows = statement_of(books())
    result = check(rows)
    assert result["ok"]
    assert (result["lines"], result["matched"], result["difference_count"]) == (NUMBER, NUMBER, 0)
    assert result["differences_file"] is None
    assert result["footer"]["verdict"] == "NONE"
    assert result["period"]["days"] == len({row["date"] for row in rows}) >= 6
    for total in result["totals"]:
        amounts = [Decimal(row["amount"]) for row in rows if row["currency"] == total["currency"]]
        assert total["kind"] == "MATCHED"
        assert total["their_count"] == total["our_count"] == len(amounts)
        assert Decimal(total["their_amount"]) == Decimal(total["our_amount"]) == sum(amounts)


DAMAGES = ("lose", "double", "amount", "currency", "status", "date", "invent")


def damage(rows: list[Row], what: str, at: int, last_day: str) -> tuple[str, str]:
    """Damage a statement in one way and return what must be found; `at` counts among the whole lines."""
    row = rows[at]
    name = row["transaction_id"]
    if what == "lose":
        rows.remove(row)
        return "MISSING_WITH_THEM", name
    if what == "double":
        rows.append(dict(row))
        return "DUPLICATE_IN_FILE", name
    if what == "invent":
        rows.insert(at, {**row, "transaction_id": f"new-{name}"})
        return "MISSING_WITH_US", f"new-{name}"
    if what == "amount":
        row["amount"] = str(Decimal(row["amount"]) + 1)
    elif what == "currency":
        row["currency"], row["amount"] = "EUR", row["amount"].partition(".")[0]
    elif what == "status":
        row["status"] = "FAILED" if row["status"] != "FAILED" else "SUCCESS"
    else:
        row["date"] = last_day
    return {"status": "STATUS_DIFFERS", "date": "DATE_DIFFERS"}.get(what, "AMOUNT_DIFFERS"), name


@examples(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(0, NUMBER - 12), st.sampled_from(DAMAGES), max_size=12))
def test_of_a_damaged_statement_exactly_the_damage_is_found(check: Any, damages: dict[int, str]) -> None:
    rows = statement_of(books())
    whole, days = list(rows), sorted({row["date"] for row in rows})
    expected = {damage(rows, damages[at], rows.index(whole[at]), days[-1]) for at in sorted(damages, reverse=True)}
    result = check(rows, days=(date.fromisoformat(days[0]), date.fromisoformat(days[-1])))
    assert found(result) == expected
    assert result["difference_count"] == len(expected) == len(damages)
    assert result["ok"] == (not damages)
    # Every line of theirs and every transaction of ours is in one of the kinds, to the last digit.
    sides = {"their": rows, "our": statement_of(books())}
    for side, all_rows in sides.items():
        for currency in {row["currency"] for row in all_rows}:
            kinds = [total for total in result["totals"] if total["currency"] == currency]
            assert sum(total[f"{side}_count"] for total in kinds) == sum(r["currency"] == currency for r in all_rows)
            amount = sum(Decimal(row["amount"]) for row in all_rows if row["currency"] == currency)
            assert sum(Decimal(total[f"{side}_amount"]) for total in kinds) == amount


def test_the_files_own_days_decide_what_has_to_be_in_it(check: Any) -> None:
    rows = statement_of(books())
    days = sorted({row["date"] for row in rows})
    two = [row for row in rows if row["date"] in days[2:4]]
    assert check(two)["ok"]
    wider = check(two, days=(date.fromisoformat(days[1]), date.fromisoformat(days[3])))
    assert {name for kind, name in found(wider)} == {r["transaction_id"] for r in rows if r["date"] == days[1]}
    said = check(two, footer=[["TOTAL", "", "", len(two), days[2]], ["TOTAL", "", "", len(two), days[4]]])
    assert {name for kind, name in found(said)} == {r["transaction_id"] for r in rows if r["date"] == days[4]}
    assert {kind for kind, _ in found(wider) | found(said)} == {"MISSING_WITH_THEM"}


def test_a_footer_that_does_not_agree_is_a_difference_by_itself(check: Any) -> None:
    rows = statement_of(books())
    sums = {c: sum(Decimal(r["amount"]) for r in rows if r["currency"] == c) for c in ("INR", "JPY", "KWD", "USD")}
    footer = [["TOTAL", amount, currency, NUMBER // 4, ""] for currency, amount in sums.items()]
    assert check(rows, footer=footer)["footer"]["verdict"] == "AGREES"
    footer[1][1] += 1
    result = check(rows, footer=footer)
    assert (result["ok"], result["difference_count"], result["footer"]["verdict"]) == (False, 0, "DIFFERS")
    assert [c["currency"] for c in result["footer"]["checks"] if not c["ok"]] == ["JPY"]
    assert check(rows, require_footer=False)["ok"]
    with pytest.raises(StatementFileError, match="has no footer"):
        check(rows, require_footer=True)


def test_dates_can_be_those_of_another_calendar(check: Any) -> None:
    rows = statement_of(books())
    days = sorted({row["date"] for row in rows})
    for row in rows:
        row["date"] = str(date.fromisoformat(row["date"]) + timedelta(days=1))
    period = (date.fromisoformat(days[0]), date.fromisoformat(days[-1]))
    assert {kind for kind, _ in found(check(rows, days=period))} == {"DATE_DIFFERS"}
    assert check(rows, days=period, dates=False)["ok"]


def test_what_gold_says_is_compared_too_once_a_build_has_processed_it(check: Any, filled: OwnDatabase) -> None:
    rows = statement_of(books())
    extra = {**books()[0], "id": "t900", "status": "SUCCESS", "reason": None, "load": 3}
    with filled.connect() as db:
        db.execute(INSERT, extra)
        db.execute("update marts.fact_transactions set amount = amount + 1 where transaction_id = 't010'")
        db.execute("delete from marts.fact_transactions where transaction_id = 't011'")
        try:
            result = check([*rows, *statement_of([extra])])
        finally:
            db.execute("delete from raw.transactions where transaction_id = 't900'")
            db.execute("drop table marts.fact_transactions")
            db.execute("""create table marts.fact_transactions as
                select distinct on (transaction_id) transaction_id, amount, currency, status,
                    (occurred_at at time zone 'UTC' + make_interval(mins => utc_offset_minutes))::date as occurred_on
                from raw.transactions order by transaction_id, status <> 'PENDING' desc""")
            db.execute("alter table marts.fact_transactions owner to dbt")
    assert found(result) == {("GOLD_DIFFERS", "t010"), ("GOLD_DIFFERS", "t011")}
    assert result["waiting_for_build"] == 1


_REJECT = """
insert into raw.rejected_transactions (transaction_id, known_at, load_id, topic_id, partition, "offset", reasons)
values (%s, now(), 1, 't', 1, (select count(*) from raw.rejected_transactions), %s)
"""


def test_a_line_that_we_rejected_says_why_and_is_no_missing_one(
    check: Any, filled: OwnDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = statement_of(books())
    known = rows[0]["transaction_id"]
    mine = {**rows[0], "amount": "0.00"}
    new = [{**mine, "transaction_id": name} for name in ("r1", "r2", "r2", "nobody")]
    rejected = [("r1", ["AMOUNT_NOT_POSITIVE"]), ("r2", ["AMOUNT_NOT_POSITIVE", "MERCHANT_NAME_MISSING"])]
    rejected += [
        ("r2", ["CUSTOMER_NAME_TOO_LONG"]),
        (known, ["CONFLICTING_DUPLICATE"]),
        ("r3", ["FEE_PERCENT_OUT_OF_RANGE"]),
    ]
    with filled.connect() as db:
        db.cursor().executemany(_REJECT, rejected)
        try:
            result = check([*rows, *new])
        finally:
            db.execute("truncate raw.rejected_transactions")
        totals = "select kind, their_count from metadata.reconciliation_totals where run_id = %s and kind <> 'MATCHED'"
        stored = set(db.execute(totals, [result["run_id"]]))
        kept = "select kind, transaction_id, reasons from metadata.reconciliation_differences where run_id = %s"
        lines = sorted(db.execute(kept, [result["run_id"]]), key=lambda line: line[:2])
    assert not result["ok"]
    assert (
        lines
        == [(row["kind"], row["transaction_id"], row["reasons"]) for row in result["differences"]]
        == [
            ("DUPLICATE_IN_FILE", "r2", None),
            ("MISSING_WITH_US", "nobody", None),
            ("REJECTED_WITH_US", "r1", "AMOUNT_NOT_POSITIVE"),
            ("REJECTED_WITH_US", "r2", "AMOUNT_NOT_POSITIVE, CUSTOMER_NAME_TOO_LONG, MERCHANT_NAME_MISSING"),
        ]
    )
    assert result["matched"] == NUMBER
    assert sum(total["their_count"] for total in result["totals"]) == NUMBER + 4
    assert stored == {("DUPLICATE_IN_FILE", 1), ("MISSING_WITH_US", 1), ("REJECTED_WITH_US", 2)}
    with Path(result["differences_file"]).open(newline="") as file:
        assert {row["reasons"] for row in csv.DictReader(file)} >= {"", "AMOUNT_NOT_POSITIVE"}
    show_reconciliation(result)
    printed = capsys.readouterr().out
    assert "rejected: AMOUNT_NOT_POSITIVE" in printed
    assert "missing with us" in printed


def test_what_was_found_is_written_down_and_the_file_is_the_owners_alone(
    check: Any, filled: OwnDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = statement_of(books())
    expected = {damage(rows, "amount", 7, ""), damage(rows, "lose", 3, "")}
    result = check(rows)
    path = Path(result["differences_file"])
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open(newline="") as file:
        assert {(row["kind"], row["transaction_id"]) for row in csv.DictReader(file)} == expected
    assert check(rows, out=tmp_path / "mine.csv")["differences_file"] == str(tmp_path / "mine.csv")
    assert not list(tmp_path.rglob("*.partial"))
    with filled.connect("reader") as db:
        run = db.execute(
            "select verdict, lines, matched, differences, differences_kept from metadata.reconciliation_runs"
            " where run_id = %s",
            [result["run_id"]],
        ).fetchone()
        kept = db.execute(
            "select kind, transaction_id from metadata.reconciliation_differences where run_id = %s", [result["run_id"]]
        ).fetchall()
        totals = db.execute(
            "select sum(their_count), sum(our_count) from metadata.reconciliation_totals where run_id = %s",
            [result["run_id"]],
        ).fetchone()
    assert run == ("DIFFERENT", NUMBER - 1, NUMBER - 2, 2, 2)
    assert set(kept) == expected
    assert totals == (NUMBER - 1, NUMBER)
    show_reconciliation(result)
    printed = capsys.readouterr().out
    assert "amount differs" in printed
    assert "missing with them" in printed
    assert "2 differences" in printed


def test_of_a_damaged_file_and_of_a_database_away_nothing_is_written(
    check: Any, filled: OwnDatabase, tmp_path: Path
) -> None:
    rows = statement_of(books())
    with filled.connect() as db:
        before = db.execute("select count(*) from metadata.reconciliation_runs").fetchone()
        rows[40]["amount"] = "1,5"
        with pytest.raises(StatementFileError, match="line 42, column amount"):
            check(rows)
        assert db.execute("select count(*) from metadata.reconciliation_runs").fetchone() == before
    assert not (tmp_path / "data").exists()
    rows = [row for row in statement_of(books()) if row["transaction_id"] != "t009"]
    with pytest.raises(StatementFileError, match="the differences cannot be written"):
        check(rows, out=tmp_path / "statement.csv" / "mine.csv")
    with filled.connect("dbt") as db:
        db.execute("alter table marts.fact_transactions rename column status to other")
        with pytest.raises(TieoutError, match="the warehouse answers with 42703"):
            check(rows, out=tmp_path / "mine.csv")
        db.execute("alter table marts.fact_transactions rename column other to status")
    assert [path.name for path in tmp_path.iterdir()] == ["statement.csv"]
    away = filled.model_copy(update={"postgres_port": 1})
    with pytest.raises(DatabaseAwayError):
        reconcile(tmp_path / "statement.csv", Dialect(), settings=away, layout=Layout(tmp_path, tmp_path))


@pytest.mark.parametrize("statement", ["update {} set run_id = null", "delete from {}", "truncate {}"])
@pytest.mark.parametrize("table", ["runs", "totals", "differences"])
def test_what_was_found_cannot_be_changed_by_who_found_it(filled: OwnDatabase, table: str, statement: str) -> None:

    for role in ("dbt", "loader", "reader"):
        with filled.connect(role) as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(statement.format(f"metadata.reconciliation_{table}"))


def test_a_statement_cut_by_another_zones_days_agrees_when_the_zone_is_said(check: Any) -> None:
    payments = {row["id"]: row for row in books()}.values()
    utc = [
        statement_of([row])[0] | {"date": row["at"].strftime("%Y-%m-%dT%H:%M:%SZ")}
        for row in payments
        if row["at"].date() == date(2026, 11, 3)
    ]
    assert len({(row["at"] + timedelta(minutes=row["zone"])).date() for row in payments}) > 1
    assert len(utc) > 5
    assert not check(utc)["ok"]
    for zone in ("UTC", "+00:00", "Africa/Abidjan"):
        result = check(utc, dialect=make_dialect([], [], zone=zone))
        assert (result["ok"], result["matched"], result["difference_count"]) == (True, len(utc), 0)


def test_an_id_with_other_characters_is_another_one_and_shown_so(
    check: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = statement_of(books())
    for at, name in ((3, "t003 "), (4, "\u200bt004"), (5, "t005\ufeff"), (6, "=t006"), (7, "t\t007\n")):
        rows[at]["transaction_id"] = name
    result = check(rows)
    show_reconciliation(result)
    printed = capsys.readouterr().out
    for name in ("t003<U+0020>", "<U+200B>t004", "t005<U+FEFF>", "=t006", "t<U+0009>007<U+000A>"):
        assert f"  {name} " in printed
    kinds = [kind for kind, _ in found(result)]
    assert (kinds.count("MISSING_WITH_US"), kinds.count("MISSING_WITH_THEM")) == (5, 5)
    with Path(result["differences_file"]).open(newline="") as file:
        written = {row["transaction_id"] for row in csv.DictReader(file)}
    assert {"'=t006", "t003 ", "\u200bt004", "t005\ufeff", "t\t007\n"} <= written


def test_an_id_that_ends_with_a_blank_in_silver_agrees_with_its_own_statement(check: Any, filled: OwnDatabase) -> None:
    extra = {**books()[0], "id": "t901 ", "status": "SUCCESS", "reason": None, "load": 3}
    with filled.connect() as db:
        db.execute(INSERT, extra)
        try:
            result = check([*statement_of(books()), *statement_of([extra])])
            trimmed = check([*statement_of(books()), *statement_of([{**extra, "id": "t901"}])])
        finally:
            db.execute("delete from raw.transactions where transaction_id = 't901 '")
    assert result["ok"]
    assert {("MISSING_WITH_US", "t901"), ("MISSING_WITH_THEM", "t901 ")} == found(trimmed)


def test_days_at_the_ends_of_the_calendar_are_days_like_others(check: Any) -> None:
    line = statement_of(books())[0] | {"transaction_id": "x"}
    for day in ("0001-01-01", "9999-12-31", "9999-12-30"):
        assert found(check([line | {"date": day}])) == {("MISSING_WITH_US", "x")}
        end = date.fromisoformat(day)
        assert found(check([line | {"date": day}], days=(end, end))) == {("MISSING_WITH_US", "x")}
