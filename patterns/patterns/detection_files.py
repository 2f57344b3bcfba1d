"""Files of detections: each is put once its range is fixed, and again after a crash, with the same bytes."""

import json
from datetime import datetime

from core import failpoints
from core.errors import TieoutError
from core.places import Place
from patterns.chunk_names import IST
from patterns.ledger import Connection, Watch


def put_files(connection: Connection, watch: Watch, place: Place, folder: str) -> int:
    """Write every file whose range is fixed and that is not known to be there; return how many.

    Raises:
        OutageError: the store is away; the same again goes on.
        TieoutError: a name of ours holds something else.
    """
    files = connection.execute(
        "select file_number, first_sequence, last_sequence, name from patterns.detection_files "
        "where watch_id = %s and put_at is null order by file_number",
        [watch.watch_id],
    ).fetchall()
    for number, first, last, name in files:
        data = _content(connection, watch, first, last)
        try:
            place.create(f"{folder}/{name}", data)
        except FileExistsError:
            # Ours, from before a crash or a lost answer.
            if place.read(f"{folder}/{name}") != data:
                raise TieoutError(
                    f"{place.url}/{folder}/{name} is there and does not hold our detections {first} to {last}.",
                    "every detection is in PostgreSQL.",
                    "remove that object, then the same command again",
                ) from None
        failpoints.reach("patterns.after-put")
        connection.execute(
            "update patterns.detection_files set put_at = clock_timestamp() where (watch_id, file_number) = (%s, %s)",
            [watch.watch_id, number],
        )
    return len(files)


def _content(connection: Connection, watch: Watch, first: int, last: int) -> bytes:
    rows = connection.execute(
        "select detected_at, pattern, action, customer, merchant from patterns.detections "
        "where watch_id = %s and sequence between %s and %s order by sequence",
        [watch.watch_id, first, last],
    )
    started = in_india(watch.started_at)
    found = [
        {
            "YStartTime": started,
            "detectionTime": in_india(detected_at),
            "patternId": pattern,
            "ActionType": action,
            "customerName": customer,
            "MerchantId": merchant,
        }
        for detected_at, pattern, action, customer, merchant in rows
    ]
    return (json.dumps(found, indent=1) + "\n").encode()


def in_india(at: datetime) -> str:
    """Return a time as detections have it: India's, with its zone."""
    return at.astimezone(IST).isoformat(timespec="milliseconds")
