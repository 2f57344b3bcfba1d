"""Days that are computed again: what somebody changed by hand is made right, and nothing else is disturbed."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.errors import TieoutError
from transformation.build import run_build

pytestmark = pytest.mark.services

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)


def load_ten_days(marts: Any, payment: Any) -> None:
    marts.load(
        [
            payment(
                f"t{n}",
                "PENDING" if n % 5 == 0 else "SUCCESS",
                occurred_at=FIRST + timedelta(days=n % 10, hours=n % 11),
                customer_id=f"c{n % 4}",
                utc_offset_minutes=330 * (n % 2),
                amount=f"{n + 1}.00",
            )
            for n in range(60)
        ]
    )
    marts.build()


def on(*days: int) -> dict[str, Any]:
    return {"days": ((date(2026, 3, days[0]), date(2026, 3, days[-1])),)}


TAMPERED = (
    "update marts.fact_transactions set amount = 999, status = 'SUCCESS' where occurred_on = '2026-03-03'",
    "delete from marts.fact_transactions where transaction_id = 't3'",
    'insert into marts.fact_transactions select (jsonb_populate_record(f, \'{"transaction_id": "phantom"}\')).*'
    " from marts.fact_transactions f where transaction_id = 't13'",
    "update marts.daily_revenue_totals set success_amount = 1, pending_count = 77 where occurred_on = '2026-03-04'",
)


def test_tampered_days_are_made_right_and_equal_a_full_refresh_in_every_mart(marts: Any, payment: Any) -> None:
    load_ten_days(marts, payment)
    marts.remember()
    log = marts.sql("select count(*) as n from metadata.fact_changes")
    marts.sql_only(*TAMPERED)
    assert {"fact_transactions", "daily_revenue_totals"} <= marts.differences().keys()

    report = run_build(**on(3, 4))

    assert report["days"] == [["2026-03-03", "2026-03-04"]]
    assert marts.differences() == {}
    assert marts.sql("select count(*) as n from metadata.fact_changes") == log, "a repair is no change of a payment"


@pytest.mark.slow
def test_new_loads_of_the_same_days_come_along_and_reach_the_dimensions(marts: Any, payment: Any) -> None:
    load_ten_days(marts, payment)
    marts.sql_only(*TAMPERED)
    third = FIRST + timedelta(days=3)
    marts.load(
        [
            payment("t20", "SUCCESS", occurred_at=FIRST + timedelta(hours=9), customer_id="c0", amount="21.00"),
            payment("new", "SUCCESS", occurred_at=third, customer_id="c9", amount="5.00"),
        ]
    )
    assert run_build(**on(1, 10))["status"] == "SUCCESS"
    marts.remember()
    marts.build(full_refresh=True)
    assert marts.sql("select transaction_count as n from marts.dim_customers where customer_id = 'c9'") == [{"n": 1}]
    assert marts.differences() == {}


@pytest.mark.slow
def test_days_outside_the_range_stay_as_they_are_and_days_without_data_change_nothing(marts: Any, payment: Any) -> None:
    load_ten_days(marts, payment)
    marts.sql_only(*TAMPERED)
    marts.remember()
    assert run_build(**on(20, 21))["status"] == "SUCCESS"
    assert marts.differences() == {}
    assert marts.sql("select amount::int as n from marts.fact_transactions where occurred_on = '2026-03-03'")[0] == {
        "n": 999
    }


def test_a_lookback_hangs_on_the_newest_day_and_repairs_in_the_same_way(marts: Any, payment: Any) -> None:
    load_ten_days(marts, payment)
    marts.remember()
    marts.sql_only("update marts.fact_transactions set amount = 900 where occurred_on >= '2026-03-09'")
    report = run_build(lookback_days=2)
    assert report["days"] == [["2026-03-09", "2026-03-11"]]
    assert marts.differences() == {}


@pytest.mark.slow
def test_the_days_of_a_failed_build_are_made_right_by_the_next_one(marts: Any, payment: Any) -> None:
    load_ten_days(marts, payment)
    marts.remember()
    marts.sql_only(
        *TAMPERED,
        "create function public.refuse() returns trigger language plpgsql as $$begin raise 'no'; end$$",
        "create trigger refuse before insert on marts.daily_revenue_totals for each row execute function refuse()",
    )
    with pytest.raises(TieoutError, match="daily_revenue_totals"):
        run_build(**on(3, 4))
    marts.sql_only("drop trigger refuse on marts.daily_revenue_totals", "drop function public.refuse")
    assert marts.build()["days"] == [["2026-03-03", "2026-03-04"]]
    assert marts.differences() == {}


@pytest.mark.slow
def test_rows_that_a_backfill_gave_back_reach_every_mart_with_the_next_build(marts: Any, payment: Any) -> None:
    load_ten_days(marts, payment)
    marts.remember()
    marts.sql_only(
        "create table public.lost as select * from raw.transactions where transaction_id in ('t7', 't8')",
        "delete from raw.transactions where transaction_id in ('t7', 't8')",
    )
    marts.build(full_refresh=True)
    assert {"dim_customers", "fact_transactions"} <= marts.differences().keys()
    marts.sql_only(
        "insert into raw.transactions select * from public.lost",
        "drop table public.lost",
        "with b as (insert into metadata.backfills (request) values ('a test') returning backfill_id)"
        " insert into metadata.backfill_days (backfill_id, day, rows_read, rows_loaded, duplicates, rejected,"
        " already_loaded, restored_loads) select backfill_id, '2026-03-08', 2, 2, 0, 0, 0, '{1}' from b",
    )
    assert run_build(**on(8, 9))["loads"] == [1]
    assert marts.differences() == {}
    assert marts.sql("select 1 from metadata.backfill_days where built_by is null") == []
    assert marts.build()["status"] == "UNCHANGED"
