"""Events on a real topic, and a silver and gold that hold the first of them, written as loader and dbt would."""

import json
import random
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import psycopg
from confluent_kafka import Producer
from live_events import fields

from control.roles import dsn
from core.kafka_login import librdkafka_login
from live.batch import Batch
from live.events import Event

CHANNELS = {"Credit Card": "CARD"}
LIVE_TABLES = (
    "opening", "positions", "totals", "changes", "payments", "redriven", "seconds", "arrivals", "customers", "alerts",
    "alert_rules", "checks", "drift",
)  # fmt: skip
MARTS = """
set role dbt;
drop table if exists marts.fact_transactions, marts.daily_revenue_totals;
create table marts.fact_transactions (transaction_id text, currency text, status text, merchant_category text,
    payment_channel text, amount numeric(20,4));
create table marts.daily_revenue_totals (currency text, success_count bigint, success_amount numeric,
    failed_count bigint, failed_amount numeric, pending_count bigint, pending_amount numeric);
reset role;
"""


def superuser(env: Mapping[str, str]) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn(env, "postgres", env["POSTGRES_DB"]), autocommit=True)


def forget_everything(env: Mapping[str, str]) -> None:
    with superuser(env) as connection:
        connection.execute(f"truncate {', '.join(f'live.{name}' for name in LIVE_TABLES)} cascade".encode())
        connection.execute("truncate raw.transactions, metadata.load_audit, metadata.builds cascade")
        connection.execute("truncate metadata.consumer_watermarks")
        connection.execute("drop table if exists marts.fact_transactions, marts.daily_revenue_totals")


def random_messages(seed: int, count: int, customers: int = 12) -> Iterable[tuple[bytes, bytes]]:
    """Yield keys and values: payments, settlements, copies, contradictions, invalid and malformed ones."""
    dice, feed = random.Random(seed), uuid4().hex[:8]
    sent: list[dict[str, Any]] = []
    for number in range(count):
        draw = dice.random()
        if sent and draw < 0.3:
            again = dict(dice.choice(sent))
            if again["status"] == "PENDING" and draw < 0.25:
                again["status"] = dice.choice(["SUCCESS", "FAILED"])
                again["failure_reason"] = "DO_NOT_HONOUR" if again["status"] == "FAILED" else None
            elif draw > 0.28:
                again["amount"] += 1
        else:
            again = fields(
                f"{feed}-{number}",
                dice.choice(["PENDING", "SUCCESS", "FAILED", "SUCCESS"]),
                customer_id=f"c{dice.randrange(customers)}",
                amount=dice.choice([5, 20, 90.5, 450, 1500]),
                currency=dice.choice(["USD", "USD", "INR"]),
                merchant_name=dice.choice("ABCDE"),
                merchant_category=dice.choice(["misc_net", "kids_pets"]),
                city=dice.choice(["Pune", "Pune", "Delhi"]),
                timestamp=f"2026-11-20T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            )
            again["state"] = "Delhi" if again["city"] == "Delhi" else "Maharashtra"
            if draw > 0.97:
                again["amount"] = dice.choice([-1, "12"])
        sent.append(again)
        if isinstance(again["amount"], str):
            sent.pop()
        yield again["customer_id"].encode(), json.dumps(again).encode()


def produce(env: Mapping[str, str], messages: Iterable[tuple[bytes, bytes]]) -> None:
    producer = Producer(
        {
            **librdkafka_login(env["KAFKA_BOOTSTRAP"], "gateway", env["KAFKA_PASSWORD_GATEWAY"]),
            "enable.idempotence": True,
        }
    )
    for key, value in messages:
        producer.produce("transactions", key=key, value=value)
    assert producer.flush(30) == 0


def write_silver(connection: psycopg.Connection[Any], taken: Iterable[Event]) -> None:
    """Add what silver takes, as one load."""
    (load_id,) = connection.execute(
        "insert into metadata.load_audit (status, finished_at, rows_expected, rows_read, rows_loaded, duplicates, "
        "rejected, already_loaded, dead_letters_expected, dead_letters_read, dead_letters) "
        "values ('SUCCESS', now(), 0, 0, 0, 0, 0, 0, 0, 0, 0) returning load_id"
    ).fetchone() or (0,)
    names = [name for name in fields() if name not in {"timestamp", "amount"}]
    columns = [*names, "amount", "occurred_at", "utc_offset_minutes", "status_at", "known_at", "content_hash",
               "identity_hash", "load_id", "topic_id", "partition", '"offset"']  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(
            f"insert into raw.transactions ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})",
            [_silver_row(e, names, load_id) for e in taken],
        )


def _silver_row(e: Event, names: list[str], load_id: int) -> list[Any]:
    fixed = [(e.fields or {}).get(name) for name in names]
    times = [e.occurred_at, e.utc_offset_minutes, e.status_at, e.arrived_at]
    place = [e.place.topic_id, e.place.partition, e.place.offset]
    return [*fixed, e.amount, *times, e.identity_hash, e.identity_hash, load_id, *place]


def write_gold(connection: psycopg.Connection[Any], topic_id: str, ends: Mapping[int, int]) -> None:
    """Make gold what silver is, as a build would that has processed all loads up to these ends."""
    connection.execute(MARTS)
    (build_id,) = connection.execute(
        "insert into metadata.builds (build_id, status, finished_at, full_refresh, lookback, project_hash) "
        "values (gen_random_uuid(), 'SUCCESS', now(), false, true, 'x') returning build_id"
    ).fetchone() or (None,)
    (load_id,) = connection.execute("select max(load_id) from metadata.load_audit").fetchone() or (0,)
    for partition, end in ends.items():
        connection.execute(
            "insert into metadata.load_offsets values (%s, %s, %s, 0, %s)", [load_id, topic_id, partition, end]
        )
    connection.execute(
        "insert into metadata.processed_loads (load_id, build_id) select load_id, %s from metadata.load_audit "
        "on conflict do nothing",
        [build_id],
    )
    connection.execute("""
        insert into marts.fact_transactions
        select distinct on (transaction_id) transaction_id, currency, status, merchant_category, 'CARD', amount
        from raw.transactions order by transaction_id, status = 'PENDING'
    """)
    connection.execute("""
        insert into marts.daily_revenue_totals
        select currency, count(*) filter (where status = 'SUCCESS'), sum(amount) filter (where status = 'SUCCESS'),
            count(*) filter (where status = 'FAILED'), sum(amount) filter (where status = 'FAILED'),
            count(*) filter (where status = 'PENDING'), sum(amount) filter (where status = 'PENDING')
        from marts.fact_transactions group by 1
    """)
    connection.execute("truncate metadata.consumer_watermarks")
    connection.execute(
        "insert into metadata.consumer_watermarks (consumer, epoch, seq, build_id) "
        "values ('fact_transactions', 1, 1, %(b)s), ('daily_revenue_totals', 1, 1, %(b)s)",
        {"b": build_id},
    )


def taken(batch: Batch) -> list[Event]:
    """Return the events of a batch that silver takes."""
    return [event for _, event in batch.taken]
