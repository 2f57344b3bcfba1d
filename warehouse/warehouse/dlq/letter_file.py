"""Letters as a file to edit: a JSON line each, and back.

A line holds the coordinates and one of `payload` (an object, numbers as they were written), `payload_text` (text that
is no JSON object) or `payload_base64` (bytes that are no text).
"""

import base64
import codecs
import errno
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import orjson

from core.errors import TieoutError
from core.files import replacing
from warehouse.dlq.lake import Letter
from warehouse.dlq.selection import NOTHING, Coordinates

# No partition or offset is longer; no name has NUL, a line break or half a letter in it.
_PLACE = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")
_NAME = re.compile(r"[!-~]{1,200}")
_CONVERTED = 1 << 20  # characters at once
_PAYLOADS = ("payload", "payload_text", "payload_base64")


class Line(NamedTuple):
    """A letter out of a file, with its bytes as they shall be sent."""

    letter: Letter
    book: str
    is_changed: bool


class _RepeatedKeyError(ValueError):
    """An object with two equal keys would come back with one."""


def write_letters(file: Path, lines: Iterable[bytes]) -> int:
    """Write letters, each by as_line, to a new file, whole or not at all, with mode 600; return their number.

    Raises:
        TieoutError: the file is there already, or cannot be written.
    """
    if not file.name:
        raise TieoutError(f"{file} is no name of a file.", NOTHING, "name another file")
    count = 0
    try:
        if file.exists():
            raise FileExistsError(17, "the file is there already")
        with replacing(file, mode=0o600) as partial, partial.open("wb") as out:
            for line in lines:
                out.write(line)
                count += 1
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise TieoutError(
            f"{file} cannot be written: {error.strerror}.", "no half-written file is left.", "name another file"
        ) from None
    return count


def as_line(letter: Letter, book: str, entity: str) -> bytes:
    """Return a letter as a line of the file. The entity is there for people: the topic says it too."""
    payload = _payload(letter.value)
    held = {
        "letter": str(letter.place),
        "topic_id": letter.place.topic_id,
        "book": book,
        "entity": entity,
        "reasons": list(letter.reasons),
        "status_at": letter.status_at,
        "key_base64": None if letter.key is None else base64.b64encode(letter.key).decode(),
        **payload,
    }
    held["unchanged_sha256"] = _digest(_bytes_of(payload))
    return orjson.dumps(held, option=orjson.OPT_APPEND_NEWLINE)


def _payload(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"payload": None}
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(value).decode()}
    with suppress(ValueError, RecursionError, TypeError):
        read = _exact(text)
        if isinstance(read, dict):
            orjson.dumps(read)
            return {"payload": read}
    return {"payload_text": text}


def _exact(text: str) -> Any:
    """Read JSON with its numbers as they are written.

    Raises:
        ValueError: it is no JSON, has two equal keys, or NaN or the like.
    """

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) < len(found):
            raise _RepeatedKeyError
        return dict(found)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    number = orjson.Fragment
    return json.loads(text, parse_float=number, parse_int=number, parse_constant=refuse, object_pairs_hook=pairs)


def _digest(value: bytes | None) -> str:
    return hashlib.sha256(b"-" if value is None else b"+" + value).hexdigest()


def _bytes_of(held: dict[str, Any]) -> bytes | None:
    """Return the bytes that a line stands for.

    Raises:
        ValueError: it has none of the payloads, or more than one.
    """
    named = [name for name in _PAYLOADS if name in held]
    if len(named) != 1:
        raise ValueError(f"it needs one of {', '.join(_PAYLOADS)}")
    value = held[named[0]]
    if value is None:
        return None
    if named[0] == "payload":
        return orjson.dumps(value)
    if not isinstance(value, str):
        raise ValueError(f"{named[0]} is no text")
    return value.encode("utf-8") if named[0] == "payload_text" else base64.b64decode(value, validate=True)


def read_line(line: bytes) -> Line:
    """Read one line.

    Raises:
        ValueError: it is not one of a letter file; the message holds nothing of the payload.
    """
    try:
        held = _exact(line.decode("utf-8"))
    except _RepeatedKeyError:
        raise ValueError("it has a key twice") from None
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(held, dict):
        raise ValueError("it is no JSON object")
    topic_id, where = held.get("topic_id"), held.get("letter")
    place = _PLACE.fullmatch(where) if isinstance(where, str) else None
    if place is None or not isinstance(topic_id, str) or _NAME.fullmatch(topic_id) is None:
        raise ValueError("it has no letter and topic_id")
    reasons, status_at = held.get("reasons") or (), held.get("status_at") or ""
    if not isinstance(reasons, list | tuple) or not isinstance(status_at, str) or not status_at.isascii():
        raise ValueError("its reasons or status_at are not as they were exported")
    try:
        value = _bytes_of(held)
    except (RecursionError, TypeError, UnicodeError):
        raise ValueError("its payload cannot be written again") from None
    letter = Letter(
        Coordinates(topic_id, int(place[1]), int(place[2])),
        value,
        _key_of(held.get("key_base64")),
        status_at,
        tuple(map(str, reasons)),
    )
    return Line(letter, str(held.get("book")), _digest(value) != held.get("unchanged_sha256"))


def _key_of(text: Any) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError("its key_base64 is no text")
    return base64.b64decode(text, validate=True)


@contextmanager
def open_letter_file(file: Path) -> Iterator[BinaryIO]:
    """Open a letter file at its first line, in UTF-8 without a mark; editors write it with one, or as UTF-16.

    Raises:
        OSError: it cannot be read.
        TieoutError: it begins with the mark of UTF-16 and is none.
    """
    if file.exists() and not file.is_file():  # it is read twice; a pipe would be waited for
        raise OSError(errno.EINVAL, "it is no regular file")
    with file.open("rb") as source:
        start = source.read(len(codecs.BOM_UTF8))
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            with tempfile.TemporaryFile() as converted:  # nobody else can open it
                _convert(source, converted, file)
                yield converted
        else:
            source.seek(len(start) if start == codecs.BOM_UTF8 else 0)
            yield source


def _convert(source: BinaryIO, converted: IO[bytes], file: Path) -> None:
    source.seek(0)
    text = io.TextIOWrapper(source, "utf-16", newline="")
    try:
        while part := text.read(_CONVERTED):
            converted.write(part.encode())
        text.detach()
    except UnicodeError:
        raise TieoutError(
            f"{file} has the mark of UTF-16 and is none.", NOTHING, "save it as UTF-8, then the same command"
        ) from None
    converted.seek(0)


def read_file(source: BinaryIO, file: Path) -> Iterator[tuple[int, Line]]:
    """Yield each letter of a file with the position of its line.

    Raises:
        TieoutError: a line is not one of a letter file.
    """
    number, position = 0, source.tell()
    try:
        for number, text in enumerate(iter(source.readline, b""), 1):  # noqa: B007 (named in the error)
            if text.strip():
                yield position, read_line(text)
            position = source.tell()
    except ValueError as error:
        raise TieoutError(
            f"{file} line {number}: {error}.", NOTHING, "./scripts/tieout dlq export FILE writes such a file"
        ) from None
