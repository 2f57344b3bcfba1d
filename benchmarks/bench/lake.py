"""Lakes for the measurements: the gateway's events, brought to bronze by the stream itself."""

import shutil
from pathlib import Path

from bench.feed import words
from bench.ground import Ground, ask
from bench.readback import TOPIC, fresh_topic
from contracts.layout import CHECKOUT, Layout
from contracts.model import load_contract

REPEAT_EVERY = 20


def make_lake(ground: Ground, name: str, payments: int, *, repeats: bool = False, faults: str = "0") -> Layout:
    """Send payments to an empty topic, let the stream drain it, and set the lake aside.

    Args:
        repeats: send every twentieth event a second time.

    Returns:
        the layout of a home that holds this lake and nothing else.
    """
    fresh_topic(ground.env)
    if repeats:
        ask("bench.sides.prebuilt", told(ground, payments) | {"repeat_every": REPEAT_EVERY})
    else:
        ground.tieout("produce", *words(payments, faults))
    ground.tieout("stream", "--once")
    aside = Layout(CHECKOUT, ground.handle.home / name)
    aside.home.mkdir(mode=0o755)
    shutil.move(ground.layout.data, aside.data)
    _make_data_folder(ground, aside.data)
    return aside


def _make_data_folder(ground: Ground, model: Path) -> None:
    """Put an empty folder where the lake was, as its owner has it."""
    found = model.stat()
    ground.layout.data.mkdir(mode=found.st_mode & 0o777)
    shutil.chown(ground.layout.data, found.st_uid, found.st_gid)


def told(ground: Ground, payments: int) -> dict[str, object]:
    """Return what a sending side is told."""
    return {
        "payments": payments,
        "bootstrap": ground.env["KAFKA_BOOTSTRAP"],
        "password": ground.env["KAFKA_PASSWORD_GATEWAY"],
        "card_hash_key": ground.env["CARD_HASH_KEY"],
        "topic": TOPIC,
        "max_bytes": load_contract().topics["transactions"].max_message_bytes,
    }
