"""Messages and events for the live view's tests."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from live.events import Event, EventReader, Headers, Message, Place

ARRIVED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TOPIC = "dG9waWMtb2YtYS10ZXN0LQ"
READER = EventReader(load_entity(PAYMENTS))


def fields(transaction_id: str = "t1", status: str = "SUCCESS", **changed: Any) -> dict[str, Any]:
    """Return the fields of a good event."""
    event = {
        "transaction_id": transaction_id,
        "customer_id": "c1",
        "customer_name": "Asha Iyer",
        "customer_email": "asha.iyer@example.com",
        "merchant_name": "Rippin, Kub and Mann",
        "merchant_category": "grocery_pos",
        "amount": 107.25,
        "payment_method": "Credit Card",
        "status": status,
        "failure_reason": "INSUFFICIENT_FUNDS" if status == "FAILED" else None,
        "timestamp": "2026-11-20T11:00:00Z",
        "city": "Pune",
        "state": "Maharashtra",
        "country": "IN",
        "currency": "USD",
        "device_type": "mobile",
        "ip_address": "198.18.0.1",
        "is_fraud": False,
    }
    return event | changed


def message(
    transaction_id: str = "t1",
    status: str = "SUCCESS",
    *,
    partition: int = 0,
    offset: int = 0,
    headers: tuple[tuple[str, bytes], ...] = (),
    **changed: Any,
) -> Message:
    """Return an event's message; its arrival follows its offset."""
    value = json.dumps(fields(transaction_id, status, **changed)).encode()
    place = Place(TOPIC, partition, offset)
    return Message(place, ARRIVED + timedelta(seconds=offset), value, headers)


def event(transaction_id: str = "t1", status: str = "SUCCESS", **changed: Any) -> Event:
    """Return the judged event of a message."""
    return READER.read([message(transaction_id, status, **changed)])[0]


def read(value: bytes | None, headers: Headers = ()) -> Event:
    """Return the event of a value."""
    return READER.read([Message(Place(TOPIC, 0, 0), ARRIVED, value, headers)])[0]
