"""Lakes for the measurements: the gateway's events, brought to bronze by the stream's own code."""

from bench.ground import Ground, ask
from bench.readback import TOPIC, fresh_topic
from bench.served import Served
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.layout import CHECKOUT, Layout

REPEAT_EVERY = 20


def make_lake(ground: Ground, session: Served, name: str, payments: int, *, repeats: bool = False) -> Layout:
    """Send payments to an empty topic, and let the stream's own code drain it into a lake of its own.

    Args:
        session: a warm Spark session, bench.sides.spark_session.
        repeats: send every twentieth event a second time.

    Returns:
        the layout of a home that holds this lake and nothing else.
    """
    fresh_topic(ground.env)
    again = {"repeat_every": REPEAT_EVERY} if repeats else {}
    ask("bench.sides.prebuilt", told(ground, payments) | again)
    lake = Layout(CHECKOUT, ground.handle.home / name)
    session.ask(do="lake", home=str(lake.home))
    return lake


def told(ground: Ground, payments: int) -> dict[str, object]:
    """Return what a sending side is told."""
    return {
        "payments": payments,
        "bootstrap": ground.env["KAFKA_BOOTSTRAP"],
        "password": ground.env["KAFKA_PASSWORD_GATEWAY"],
        "card_hash_key": ground.env["CARD_HASH_KEY"],
        "topic": TOPIC,
        "max_bytes": load_entity(PAYMENTS).topic.max_message_bytes,
    }
