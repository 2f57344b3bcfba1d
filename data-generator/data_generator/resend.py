"""Sends again what an earlier run could not deliver."""

import time
from pathlib import Path

from contracts.errors import TieoutError
from data_generator import undelivered
from data_generator.delivery import Delivery, Message
from data_generator.errors import UndeliveredError
from data_generator.produce import Outcome, Surroundings, open_delivery


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
    left, error = _send(file, open_delivery(around, note))
    if left:
        try:
            undelivered.save(file, left)
        except OSError:
            # The old file is still there and holds all of them.
            left = list(undelivered.load(file))
        reason = error.what.rstrip(".") if error else "stopped before the broker answered"
        error = UndeliveredError(len(left), file, reason)
    else:
        file.unlink(missing_ok=True)
    summary = {
        "ok": error is None,
        "file": str(file),
        "events": count,
        "acknowledged": count - len(left),
        "undelivered": len(left),
        "last_offsets": {str(partition): offset for partition, offset in sorted(offsets.items())},
        "seconds": round(time.monotonic() - begun, 3),
    }
    return Outcome(summary, error)


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
