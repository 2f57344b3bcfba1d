"""Sends again what an earlier run could not deliver."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from contracts.control_total import GATEWAY, ControlTotal, sender_of
from core.errors import TieoutError
from core.text import shown
from data_generator import undelivered
from data_generator.announcing import send_total
from data_generator.delivery import Delivery, Message
from data_generator.errors import ClosingTotalError, UndeliveredError
from data_generator.produce import Outcome, Surroundings, open_delivery
from data_generator.progress import say


def resend(file: Path, around: Surroundings) -> Outcome:
    """Send the events of an undelivered file as they are; remove it when the broker has them all.

    What is left at the end replaces the file in one step, so that no event is in neither place. An event whose
    acknowledgement was lost may arrive twice, with the same feed id and number.

    Raises:
        ResendFileError: the file cannot be read; nothing was sent.
    """
    count = sum(1 for _ in undelivered.load(file))
    offsets: dict[int, int] = {}

    def note(_number: int, partition: int, offset: int) -> None:
        offsets[partition] = max(offset, offsets.get(partition, -1))

    begun = time.monotonic()
    closing = undelivered.load_closing(file)
    delivery = open_delivery(around, note)
    left, error = _send(file, delivery)
    if closing is not None:
        closing = _with_offsets(closing, delivery.topic_id, offsets)
    silent = _farewell(delivery, around, closing) if not left else None
    if left or silent:
        reason = silent or (error.what.rstrip(".") if error else "stopped before the broker answered")
        try:
            undelivered.save(file, left, closing)
        except OSError:
            # The old file is still there and holds all of them.
            left = list(undelivered.load(file))
        error = UndeliveredError(len(left), file, reason) if left else ClosingTotalError(file, reason)
    elif error is None:
        file.unlink(missing_ok=True)
    summary = {
        "ok": error is None,
        "file": str(file),
        "events": count,
        "acknowledged": count - len(left),
        "undelivered": len(left),
        "closed": closing is not None and error is None and _is_ours(closing, around),
        "last_offsets": {str(partition): offset for partition, offset in sorted(offsets.items())},
        "seconds": round(time.monotonic() - begun, 3),
    }
    return Outcome(summary, error)


def _with_offsets(closing: ControlTotal, topic_id: str | None, offsets: Mapping[int, int]) -> ControlTotal:
    """Return the feed's closing total with where its last events came to lie; those of another topic say nothing."""
    known = closing.last_offsets if topic_id in (None, closing.topic_id) else {}
    last = {p: max(known.get(p, -1), offsets.get(p, -1)) for p in {*known, *offsets}}
    return replace(closing, last_offsets=last, topic_id=topic_id or closing.topic_id)


def _is_ours(closing: ControlTotal, around: Surroundings) -> bool:
    return sender_of(closing.run, around.contract.control_senders) == GATEWAY


def _farewell(delivery: Delivery, around: Surroundings, closing: ControlTotal | None) -> str | None:
    if closing is None:
        say("the file holds no control total of its feed: the proof goes by what the producer sent before")
        return None
    if not _is_ours(closing, around):
        say(f"the control total is not sent: feed {shown(closing.run)} has another sender, and only that may tell")
        return None
    return send_total(delivery, around.contract.control_topics[GATEWAY].name, closing)


def _send(file: Path, delivery: Delivery) -> tuple[list[Message], TieoutError | None]:
    """Return what is not acknowledged at the end, and what ended it."""
    error, sent = None, 0
    try:
        if delivery.connect():
            for number, message in enumerate(undelivered.load(file), 1):
                if not delivery.send(number, message):
                    break
                sent = number
        delivery.finish()
    except TieoutError as failed:
        error = failed
    left = delivery.give_up()
    return left + [message for number, message in enumerate(undelivered.load(file), 1) if number > sent], error
