"""Events that could not be delivered, as a file that `--resend` sends."""

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from contracts.control_total import ControlTotal, ControlTotalError, parse_control_total
from core.files import replacing
from core.text import shown
from data_generator.delivery import Message
from data_generator.errors import ResendFileError

# What a record needs besides its content, at most.
RECORD_BYTES = 128
HEADER_BYTES = 10


def save(file: Path, messages: Iterable[Message], closing: ControlTotal | None = None) -> None:
    """Write messages to a file, whole or not at all, readable by the owner only (mode 600).

    Each line is {"key": text, "headers": [[name, text], ...], "value_base64": text}; a null stays null. The last line
    is {"closing": {...}}: the closing total that the feed has once all of them are delivered.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(file, mode=0o600) as partial, partial.open("wb") as out:
        out.writelines(_line(message) for message in messages)
        if closing is not None:
            out.write(b'{"closing":%s}\n' % closing.value())
        out.flush()
        os.fsync(out.fileno())


def _line(message: Message) -> bytes:
    held = {
        "key": None if message.key is None else message.key.decode(),
        "headers": [[name, text.decode() if isinstance(text, bytes) else text] for name, text in message.headers],
        "value_base64": None if message.value is None else base64.b64encode(message.value).decode(),
    }
    return orjson.dumps(held, option=orjson.OPT_APPEND_NEWLINE)


def load(file: Path, largest: int) -> tuple[list[Message], ControlTotal | None]:
    """Read messages back, and the feed's closing total where the file has one.

    Args:
        largest: bytes of a message that the broker takes.

    Raises:
        ResendFileError: the file is not there, or a line of it is not such a message.
    """
    messages: list[Message] = []
    closing: ControlTotal | None = None
    line_number = 0
    try:
        if file.exists() and not file.is_file():
            raise ResendFileError(file, "it is no regular file")
        with file.open("rb") as lines:
            # A message in base64 is a third longer than its bytes; what has no line end must not be read whole.
            pieces = iter(lambda: lines.readline(2 * largest), b"")
            for line_number, line in enumerate(pieces, 1):  # noqa: B007 (named in the error)
                if len(line) >= 2 * largest:
                    raise ValueError(f"the line has {2 * largest:,} bytes or more, and the broker takes {largest:,}")
                held = json.loads(line)
                if held.get("closing") is not None:
                    closing = parse_control_total(json.dumps(held["closing"]).encode())
                else:
                    messages.append(_message(held, largest))
    except OSError as error:
        raise ResendFileError(file, error.strerror or str(error)) from None
    except (ControlTotalError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResendFileError(file, f"not an undelivered event: {_why(error)}", line=line_number) from None
    return messages, closing


def _message(held: dict[str, Any], largest: int) -> Message:
    key, value = held["key"], held["value_base64"]
    message = Message(
        None if key is None else key.encode(),
        None if value is None else base64.b64decode(value, validate=True),
        [(_text(name), None if text is None else text.encode()) for name, text in held["headers"]],
    )
    headers = sum(len(name.encode()) + len(text or b"") + HEADER_BYTES for name, text in message.headers)
    size = len(message.key or b"") + len(message.value or b"") + headers + RECORD_BYTES
    if size > largest:
        raise ValueError(f"it has {size:,} bytes, and the broker takes {largest:,}")
    return message


def _text(name: object) -> str:
    if not isinstance(name, str) or "\0" in name:
        raise ValueError(f"{name!r} is no name of a header")
    return name


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else shown(error)
