"""What a message's headers say. A header that cannot be read is NULL, never an error: it is not part of the event."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts import verdict
from contracts.judge import INSTANT, UTC_TIME

LONGEST = 200
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
# The column that each header is stored as.
STORED_AS: Mapping[str, str] = {
    "run": "run",
    "seq": "seq",
    "status_at": "status_at",
    "contract": "contract_version",
    "redrive-of": "redrive_of",
}


def header_columns(headers: pa.ListArray) -> dict[str, pa.Array]:
    """Return the columns run, seq, status_at, contract_version and redrive_of.

    Of headers with the same name the first counts.

    Args:
        headers: of each message a list of keys and values, of the type HEADERS; NULL for none.
    """
    rows, pairs = pc.list_parent_indices(headers).to_numpy(), headers.flatten()
    keys, values = pairs.field("key"), pairs.field("value")
    found = {}
    for name, stored in STORED_AS.items():
        at = np.flatnonzero(pc.equal(keys, name).fill_null(False).to_numpy(zero_copy_only=False))[::-1]
        where = np.full(len(headers), -1)
        where[rows[at]] = at
        found[stored] = _texts(values.take(pa.array(where, mask=where < 0)))
    none = pa.scalar(None, pa.string())
    seq = found["seq"]
    found["seq"] = pc.if_else(pc.match_substring_regex(seq, r"\A[0-9]{1,18}\z"), seq, none).cast(pa.int64())
    found["status_at"] = _instants(found["status_at"])
    return found


def _instants(texts: pa.StringArray) -> pa.Array:
    if pc.all(pc.match_substring_regex(texts, rf"\A{INSTANT}\z")).as_py() is not False:
        return texts.cast(UTC_TIME)
    read = (verdict.read_instant(text) if text is not None else None for text in texts.to_pylist())
    return pa.array([each[0] if each else None for each in read], UTC_TIME)


def _texts(values: pa.BinaryArray) -> pa.StringArray:
    """Return the headers' texts; NULL where one is absent, no UTF-8, too long or holds U+0000."""
    fits = pc.and_(pc.less_equal(pc.binary_length(values), LONGEST), pc.invert(pc.match_substring(values, "\0")))
    values = pc.if_else(fits, values, pa.scalar(None, pa.binary()))
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_text(each) for each in values.to_pylist()], pa.string())


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
