"""Sends again what an earlier run could not deliver."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from contracts.control_total import GATEWAY, ControlTotal, sender_of
from contracts.model import PAYMENTS, Entity
from core.errors import TieoutError
from core.text import shown
from data_generator import undelivered
from data_generator.control_totals import send_total
from data_generator.delivery import Delivery, Message
from data_generator.errors import (
    BrokenFeedError,
    BrokerError,
    ClosingTotalError,
    LeftoverError,
    ResendFileError,
    UndeliveredError,
)
from data_generator.produce import Context, Outcome, open_delivery
from data_generator.progress import say


def resend(file: Path, context: Context) -> Outcome:
    """Send the events of an undelivered file as they are; remove it when the broker has them all.

    What is left at the end replaces the file in one step, so that no event is in neither place. An event whose
    acknowledgement was lost may arrive twice, with the same feed id and number.

    Raises:
        ResendFileError: the file cannot be read or could not be removed; nothing was sent.
    """
    messages, closing = undelivered.load(file, max(e.topic.max_message_bytes for e in context.entities.values()))
    entity = _entity_of(file, closing, context)
    _refuse_what_would_stay(file, messages, closing)
    offsets: dict[int, int] = {}

    def note(_number: int, partition: int, offset: int) -> None:
        offsets[partition] = max(offset, offsets.get(partition, -1))

    begun = time.monotonic()
    delivery = open_delivery(context, entity, note)
    left, error = _send(messages, delivery)
    if closing is not None:
        closing = _with_offsets(closing, delivery.topic_id, offsets)
    silent = _send_closing_total(delivery, context, closing) if not left else None
    if left or silent:
        reason = silent or (error.what.rstrip(".") if error else "stopped before the broker answered")
        try:
            undelivered.save(file, left, closing)
        except OSError:
            left = messages  # the old file is still there and holds all of them
        error = UndeliveredError(len(left), file, reason) if left else ClosingTotalError(file, reason)
    else:
        error = _remove(file)
    summary = {
        "ok": error is None,
        "file": str(file),
        "events": len(messages),
        "acknowledged": len(messages) - len(left),
        "undelivered": len(left),
        "closed": closing is not None
        and _is_ours(closing, context)
        and (error is None or isinstance(error, LeftoverError)),
        "last_offsets": {str(partition): offset for partition, offset in sorted(offsets.items())},
        "seconds": round(time.monotonic() - begun, 3),
    }
    return Outcome(summary, error)


def _refuse_what_would_stay(file: Path, messages: Sequence[Message], closing: ControlTotal | None) -> None:
    """Refuse a file without events, and one that could not be removed: whoever finds it again sends it again."""
    if not messages and closing is None:
        raise ResendFileError(file, "it holds no event")
    folder = file.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ResendFileError(
            file,
            "it could not be removed afterwards: this account may not write its folder",
            "copy it to data/undelivered and send the copy.",
        )


def _entity_of(file: Path, closing: ControlTotal | None, context: Context) -> Entity:
    """Return the entity of a file's events: what its control total names; of a file of before, payments."""
    name = closing.entity if closing else PAYMENTS
    if name not in context.entities:
        raise ResendFileError(file, f"its control total names the entity {shown(name)}, and there is none")
    return context.entities[name]


def _remove(file: Path) -> LeftoverError | None:
    try:
        file.unlink(missing_ok=True)
    except OSError as failed:
        return LeftoverError(file, failed.strerror or str(failed))
    return None


def _with_offsets(closing: ControlTotal, topic_id: str | None, offsets: Mapping[int, int]) -> ControlTotal:
    """Return the feed's closing total with where its last events came to lie; those of another topic say nothing."""
    known = closing.last_offsets if topic_id in (None, closing.topic_id) else {}
    last = {p: max(known.get(p, -1), offsets.get(p, -1)) for p in {*known, *offsets}}
    return replace(closing, last_offsets=last, topic_id=topic_id or closing.topic_id)


def _is_ours(closing: ControlTotal, context: Context) -> bool:
    return sender_of(closing.run, context.entities[PAYMENTS].platform.control_topics) == GATEWAY


def _send_closing_total(delivery: Delivery, context: Context, closing: ControlTotal | None) -> str | None:
    if closing is None:
        say("the file holds no control total of its feed: the proof goes by what the producer sent before")
        return None
    if not _is_ours(closing, context):
        say(f"the control total is not sent: feed {shown(closing.run)} has another sender, and only that may tell")
        return None
    return send_total(delivery, context.entities[PAYMENTS].platform.control_topics[GATEWAY].name, closing)


def _send(messages: Sequence[Message], delivery: Delivery) -> tuple[list[Message], TieoutError | None]:
    """Return what is not acknowledged at the end, and what ended it."""
    error: TieoutError | None = None
    tried = 0
    try:
        if delivery.connect():
            for tried, message in enumerate(messages, 1):
                if not delivery.send(tried, message):
                    tried -= 1  # noqa: PLW2901
                    break
    except TieoutError as failed:
        error = failed
    except Exception as failed:  # whatever it is, what was sent has to be closed in order
        error = BrokenFeedError(tried, failed)
    try:
        if not isinstance(error, BrokerError):
            delivery.finish()
    except BrokerError as refused:
        error = refused
    return [*delivery.give_up(), *messages[tried:]], error
