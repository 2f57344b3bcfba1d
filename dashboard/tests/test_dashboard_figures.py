"""Sums, averages and words, without a database or a page."""

from datetime import date, timedelta
from decimal import Decimal

from streamlit.testing.v1 import AppTest

from dashboard import questions
from dashboard.figures import change, figures, with_moving_averages
from dashboard.meanings import meanings
from dashboard.view import CITIES, FACT, HOURS, MERCHANTS, REGIONS, SEGMENTS, SOURCES, View, source_for
from dashboard.words import amount, duration, money, place, share, signed_share

FIRST = date(2026, 3, 1)


def day(number, **sums):
    names = ("success_count", "failed_count", "pending_count", "delayed_count", "delayed_seconds")
    zero = dict.fromkeys(names, 0) | {"success_amount": Decimal(0), "fee_revenue": Decimal(0)}
    return zero | {"occurred_on": FIRST + timedelta(days=number)} | sums


def view(**chosen):
    return View(FIRST, FIRST + timedelta(days=29), "INR", **chosen)


def test_ratios_are_of_sums_and_not_averages_of_ratios():
    rows = [day(0, success_count=1, failed_count=1), day(1, success_count=98)]
    assert figures(rows, FIRST, FIRST + timedelta(days=1)).failure_rate == Decimal("0.01")
    weekly = with_moving_averages(rows, FIRST, FIRST + timedelta(days=1))
    assert [row["failure_rate_7_days"] for row in weekly] == [Decimal("0.5"), Decimal("0.01")]


def test_a_moving_average_counts_days_without_payments_as_zero():
    rows = [day(-6, fee_revenue=Decimal("7.00")), day(0, fee_revenue=Decimal("7.00"))]
    averages = with_moving_averages(rows, FIRST, FIRST + timedelta(days=1))
    assert [row["revenue_7_days"] for row in averages] == [Decimal(2), Decimal(1)]
    assert averages[1]["fee_revenue"] == 0
    assert averages[1]["failure_rate"] is None


def test_what_has_nothing_to_divide_by_is_not_zero():
    empty = figures([], FIRST, FIRST)
    assert (empty.failure_rate, empty.average_ticket, empty.processing_seconds) == (None, None, None)
    assert change(Decimal(5), Decimal(0)) is None
    assert change(Decimal(5), Decimal(4)) == Decimal("0.25")


def test_amounts_keep_every_digit_and_have_their_currencys():
    assert money(Decimal("12345678901234567.8950"), "INR") == "12,345,678,901,234,567.90 INR"
    assert amount(Decimal("10.5"), "JPY") == "10"
    assert amount(Decimal("1.2345"), "KWD") == "1.234"
    assert share(Decimal("0.12345")) == "12.34 %"
    assert signed_share(Decimal("0.005")) == "+0.5 %"
    assert [duration(n) for n in (5, 65, 3660, 90000)] == ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]
    assert place(("US", "TX", "Dallas")) == "Dallas, TX, US"


def test_the_period_before_has_as_many_days_and_ends_the_day_before():
    assert view().before() == (date(2026, 1, 30), date(2026, 2, 28))


def test_the_smallest_table_that_knows_the_filters_answers():
    assert source_for(view(channels=("UPI",), regions=("South",)), "delay") is REGIONS
    assert source_for(view(cities=(("US", "TX", "Dallas"),)), "delay") is CITIES
    assert source_for(view(categories=("food",)), "hour_of_day") is HOURS
    assert source_for(view(categories=("food",)), "merchant_name") is MERCHANTS
    assert source_for(view(segments=("NEW",), channels=("UPI",)), "delay") is SEGMENTS
    for filters, wanted in (
        ({"segments": ("NEW",)}, "hour_of_day"),
        ({"segments": ("NEW",), "states": (("US", "TX"),)}, "delay"),
        ({"regions": ("South",)}, "hour_of_day"),
        ({"channels": ("UPI",)}, "merchant_name"),
    ):
        assert source_for(view(**filters), wanted) is FACT
    assert SOURCES[-1] is FACT


def test_what_a_visitor_chose_is_never_part_of_a_question():
    evil = "x'; drop table marts.fact_transactions; --"
    chosen = view(channels=(evil,), categories=(evil,), segments=(evil,), regions=(evil,), cities=((evil, evil, evil),))
    for ask in (questions.by_groups, questions.by_hour, questions.by_merchant):
        for source in (FACT, SEGMENTS):
            text, values = ask(chosen, source)
            assert evil not in text.as_string()
            assert [evil] in values.values()


def test_every_definition_that_the_pages_ask_for_stands_in_the_dbt_project():
    for name in (
        "fee_revenue_total", "success_amount", "failure_rate", "average_ticket", "delayed_seconds", "attempt_count",
        "payment_channel", "region", "transaction__merchant_category", "settlement_delay_bucket", "hour_of_day",
    ):  # fmt: skip
        assert meanings()[name]


def test_a_table_with_missing_or_mixed_values_is_shown_without_a_word_in_the_log(caplog):
    page = """
from dashboard.blocks import grid
rows = [
    {"currency": "INR", "failed_count": 2, "value": 7, "huge": 2**63},
    {"currency": "USD", "failed_count": None, "value": "seven", "huge": 1},
]
grid("t", rows, file=False, currency="currency", failed_count="failed", value="value", huge="huge")
"""
    app = AppTest.from_string(page).run()
    assert not app.exception
    # Without a server Streamlit says so once; that is not about the table.
    assert [each for each in caplog.messages if "missing ScriptRunContext" not in each] == []
    shown = app.dataframe[0].value
    assert shown["failed"].iloc[0] == 2
    assert shown["value"].tolist() == ["7", "seven"]
    assert shown["huge"].tolist() == [str(2**63), "1"]
