"""The pages' logic on a real warehouse: every figure equals what the fact itself says."""

from decimal import Decimal

import psycopg
import pytest
from reading import open_page, settings_of

from control.roles import dsn
from dashboard.connections import reader_dsn
from dashboard.database import Database, UnreadableError
from dashboard.words import amount, duration, share

pytestmark = pytest.mark.services

# The truth, straight from the fact: nothing of the dashboard's own questions is in it.
TRUTH = """
select coalesce(sum(fee_revenue), 0) as fees, coalesce(sum(amount) filter (where status = 'SUCCESS'), 0) as gross,
    count(*) as n, count(*) filter (where status = 'SUCCESS') as good, count(*) filter (where status = 'FAILED') as bad,
    avg(settlement_seconds) filter (where settlement_seconds >= 0) as seconds
from marts.fact_transactions
where currency = %(currency)s and occurred_on between %(from)s and %(to)s and {}
"""


def kpis(app):
    return {metric.label.partition(",")[0]: metric.value for metric in app.metric}


def expected(warehouse, currency="INR", first="2026-03-02", last="2026-03-31", condition="true"):
    row = warehouse.sql(TRUTH.format(condition), {"currency": currency, "from": first, "to": last})[0]
    assert row["n"] > 0
    return {
        "Fee revenue": amount(row["fees"], currency),
        "Gross": amount(row["gross"], currency),
        "Failure rate": share(Decimal(row["bad"]) / (row["good"] + row["bad"])),
        "Average ticket": amount(row["gross"] / row["good"], currency),
        "Average processing time": duration(row["seconds"]),
        "Payments": f"{row['n']:,}",
    }


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ({}, "true"),
        (
            {"channel": ["CARD", "UPI"], "category": ["food"]},
            "payment_channel in ('CARD', 'UPI') and merchant_category = 'food'",
        ),
        ({"region": ["West"]}, "region = 'West'"),
        ({"state": ["Maharashtra, IN"]}, "state = 'Maharashtra'"),
        ({"city": ["Kochi, Kerala, IN"], "channel": ["UPI"]}, "city = 'Kochi' and payment_channel = 'UPI'"),
        ({"currency": "USD"}, "true"),
        (
            {"segment": ["ACTIVE"]},
            "customer_id in (select customer_id from marts.dim_customers where segment = 'ACTIVE')",
        ),
    ],
)  # fmt: skip
def test_every_kpi_equals_the_fact(warehouse, query, condition):
    with settings_of(warehouse):
        app = open_page(**query)
    assert kpis(app) == expected(warehouse, query.get("currency", "INR"), condition=condition)


def test_a_kpi_is_compared_with_as_many_days_before(warehouse):
    with settings_of(warehouse):
        app = open_page(from_="2026-03-25", to="2026-03-31")
    now = expected(warehouse, first="2026-03-25")["Payments"].replace(",", "")
    then = expected(warehouse, first="2026-03-18", last="2026-03-24")["Payments"].replace(",", "")
    change = (Decimal(now) - Decimal(then)) / Decimal(then) * 100
    assert [metric.delta for metric in app.metric if metric.label == "Payments"] == [f"{change:+.1f} %"]
    assert not any("not whole" in caption.value for caption in app.caption)


def test_a_period_before_that_the_data_do_not_cover_is_said_to_be_part(warehouse):
    with settings_of(warehouse):
        app = open_page(from_="2026-02-20", to="2026-03-31")
    assert any("that period is not whole" in caption.value for caption in app.caption)


def test_regions_narrow_states_and_states_narrow_cities(warehouse):
    def choices(app, label):
        return next(box for box in app.multiselect if box.label == label).options

    with settings_of(warehouse):
        app = open_page(region=["West"])
        assert choices(app, "State") == ["Maharashtra, IN", "WA, US"]
        assert "Houston, TX, US" not in choices(app, "City")
        app.multiselect(key="state").set_value(["WA, US"]).run()
        assert choices(app, "City") == ["Orient, WA, US"]
        # What no longer fits is not chosen any more, also in the address.
        app.multiselect(key="region").set_value(["South"]).run()
        assert app.multiselect(key="state").value == []


def test_a_filter_that_matches_nothing_says_so_and_what_to_do(warehouse):
    with settings_of(warehouse):
        app = open_page(currency="INR", state=["TX, US"])
    assert not app.metric
    assert "No payment matches these filters" in app.info[0].value


def test_an_address_with_nonsense_shows_the_page_all_the_same(warehouse):
    with settings_of(warehouse):
        app = open_page(currency="XXX'; --", channel=["NO"], state=["Nowhere"], from_="yesterday", to="")
    assert kpis(app)


def test_the_age_of_the_data_is_always_said_and_an_error_when_stale(warehouse):
    with settings_of(warehouse):
        fresh = open_page()
        assert any("Data age" in caption.value for caption in fresh.caption)
        assert not fresh.error
    with settings_of(warehouse, DASHBOARD_STALE_AFTER_SECONDS="1"):
        stale = open_page("books")
        assert "That is stale" in stale.error[0].value


def test_a_database_that_is_away_is_said_in_a_sentence_without_anything_secret(warehouse):
    for changed in ({"POSTGRES_PORT": "1"}, {"POSTGRES_PASSWORD_READER": "a-secret-that-is-wrong"}):
        with settings_of(warehouse, **changed):
            for page in ("business", "books", "live") if "POSTGRES_PORT" in changed else ("customer", "alerts"):
                app = open_page(page)
                said = " ".join(warning.value for warning in app.warning)
                assert "The warehouse does not answer." in said
                assert "a-secret-that-is-wrong" not in str(app)


def test_a_missing_table_leaves_the_rest_of_the_page(warehouse):
    warehouse.sql("alter table marts.daily_hour_totals rename to away")
    warehouse.sql("alter view metadata.dead_letter_book rename to away")
    try:
        with settings_of(warehouse):
            business, books = open_page(), open_page("books")
    finally:
        warehouse.sql("alter table marts.away rename to daily_hour_totals")
        warehouse.sql("alter view metadata.away rename to dead_letter_book")
    assert len(business.metric) == 6
    assert "This is not built yet." in business.warning[0].value
    assert any("no book of its letters yet" in caption.value for caption in books.caption)


def test_the_books_page_shows_the_proof_the_loads_and_what_waits(warehouse):
    with psycopg.connect(dsn(warehouse.env, "postgres"), autocommit=True) as db:
        db.execute(
            "insert into metadata.proof (proof_id, checked_at, equation, scope, currency, left_count, left_amount,"
            " right_count, right_amount, verdict) select '5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11', now(), *"
            " from (values ('E3', '{}'::jsonb, 'INR', 10, 99999999999999999.1200, 10, 99999999999999999.1200, 'OK'),"
            " ('E4', '{}'::jsonb, 'INR', 10, 5.00, 9, 4.50, 'DIFFERENT')) as v"
        )
    try:
        with settings_of(warehouse):
            app = open_page("books")
    finally:
        warehouse.sql("delete from metadata.proof where proof_id = '5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11'")
    tables = [frame.value for frame in app.dataframe]
    proof = tables[0]
    assert list(proof["verdict"]) == ["✘ DIFFERENT", "✔ OK"]
    assert list(proof["left amount"]) == ["5.00", "99,999,999,999,999,999.12"]
    assert list(proof["difference in amount"]) == ["0.50", "0.00"]
    assert "do not tie out" in app.error[0].value
    hops = next(frame for frame in tables if "hop" in frame)
    assert len(hops) == 7
    assert dict(zip(hops["hop"], hops["is"], strict=True))["lake to silver"] == "✔ fresh"
    assert any("run" in frame and "new" in frame for frame in tables)
    assert not any("entity" in frame for frame in tables), "payments alone need no name"


def test_the_books_page_says_whose_books_a_line_is_about_where_there_are_several(warehouse):
    proof = "5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c12"
    with psycopg.connect(dsn(warehouse.env, "postgres"), autocommit=True) as db:
        db.execute(
            "insert into metadata.proof (proof_id, checked_at, equation, scope, left_count, right_count, verdict)"
            f" select '{proof}', now(), 'E0', * from (values"
            """ ('{"feed": "(none)"}'::jsonb, 3, 3, 'UNATTESTED'),"""
            """ ('{"feed": "(none refunds)", "entity": "refunds"}', 2, 2, 'UNATTESTED')) as v"""
        )
        (load,) = db.execute(
            "insert into metadata.load_audit (entity, status, error_code, finished_at, seconds)"
            " values ('refunds', 'FAILED', 'TEST', now(), 1) returning load_id"
        ).fetchone()
        db.execute(
            'insert into raw.rejected_refunds (topic_id, partition, "offset", reasons, known_at, status_at, load_id)'
            " values ('refunds-topic', 0, 5, '{REASON_UNKNOWN}', now(), now(), %s)",
            [load],
        )
    try:
        with settings_of(warehouse):
            app = open_page("books")
    finally:
        warehouse.sql(f"delete from metadata.proof where proof_id = '{proof}'")
        warehouse.sql(f"delete from raw.rejected_refunds where load_id = {load}")
        warehouse.sql(f"delete from metadata.load_audit where load_id = {load}")
    tables = [frame.value for frame in app.dataframe]
    shown = tables[0]
    assert list(zip(shown["entity"], shown["scope"], strict=True)) == [
        ("transactions", '{"feed": "(none)"}'), ("refunds", '{"feed": "(none)"}')
    ]  # fmt: skip
    loads = next(frame for frame in tables if "run" in frame and "new" in frame)
    assert next(iter(loads["entity"])) == "refunds"
    letters = next(frame for frame in tables if "put back" in frame)
    command = letters[letters["book"] == "rejected_refunds"]["put back"]
    assert list(command) == [
        "./scripts/tieout dlq redrive --entity refunds --rejected --reason REASON_UNKNOWN --dry-run"
    ]


def test_the_role_of_the_dashboard_can_neither_write_nor_read_raw(warehouse):
    dsn = reader_dsn(warehouse.settings())
    assert "statement_timeout=10s" in dsn
    database = Database(dsn.replace("statement_timeout=10s", "statement_timeout=500ms"))
    assert database.rows("select count(*) as n from marts.fact_transactions")[0]["n"] > 0
    for forbidden in (
        "select * from raw.transactions",
        "delete from marts.fact_transactions returning 1",
        "create table marts.mine ()",
        "select pg_sleep(30)",
    ):
        with pytest.raises(UnreadableError):
            database.rows(forbidden)
    assert database.rows("select 1 as one") == [{"one": 1}]


def test_a_connection_that_the_server_ended_is_made_again(warehouse):
    database = Database(reader_dsn(warehouse.settings()))
    database.rows("select 1")
    warehouse.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tieout dashboard'")
    assert database.rows("select 1 as one") == [{"one": 1}]
