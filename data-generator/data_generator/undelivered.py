"""Events that could not be delivered, as a file that `--resend` sends."""

import base64
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from contracts.control_total import ControlTotal, ControlTotalError, parse_control_total
from core.files import replacing
from data_generator.delivery import Message
from data_generator.errors import ResendFileError


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


def load(file: Path) -> Iterator[Message]:
    """Read messages back, one at a time.

    Raises:
        ResendFileError: the file is not there or a line of it is not such a message.
    """
    return (each for each in _read(file) if isinstance(each, Message))


def load_closing(file: Path) -> ControlTotal | None:
    """Read back the feed's closing total; None where the file has none.

    Raises:
        ResendFileError: as load.
    """
    return next((each for each in _read(file) if isinstance(each, ControlTotal)), None)


def _read(file: Path) -> Iterator[Message | ControlTotal]:
    line_number = 0
    try:
        with file.open("rb") as lines:
            for line_number, line in enumerate(lines, 1):  # noqa: B007 (named in the error)
                held = orjson.loads(line)
                closing = held.get("closing")
                yield _message(held) if closing is None else parse_control_total(orjson.dumps(closing))
    except OSError as error:
        raise ResendFileError(str(file), error.strerror or str(error)) from None
    except (ControlTotalError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResendFileError(f"{file} line {line_number}", f"not an undelivered event: {error}") from None


def _message(held: dict[str, Any]) -> Message:
    key, value = held["key"], held["value_base64"]
    return Message(
        None if key is None else key.encode(),
        None if value is None else base64.b64decode(value, validate=True),
        [(name, text.encode()) for name, text in held["headers"]],
    )
