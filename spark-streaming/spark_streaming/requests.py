"""How a command asks the running stream for maintenance between batches: a file asks, another answers.

Each asker has files of its own, so that two at once are answered one after the other. A question whose asker is gone is
answered once and then forgotten.
"""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import TieoutError
from core.files import write_file
from core.layout import Layout
from spark_streaming.errors import StreamError

Answer = dict[str, Any]
OLD_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        name: of its files.
        wishes: such as the day before which dead letters go.
    """

    name: str
    wishes: dict[str, Any]


def _question(layout: Layout, name: str) -> Path:
    return layout.run / f"maintain.{name}.request"


def _reply(layout: Layout, name: str) -> Path:
    return layout.run / f"maintain.{name}.json"


def ask(
    layout: Layout, wishes: dict[str, Any] | None = None, *, patience: float, still_runs: Callable[[], bool]
) -> Answer:
    """Ask the running stream for maintenance and wait for its answer.

    Raises:
        StreamError: the stream failed at it, ended before it answered, or did not answer in time.
    """
    name = uuid.uuid4().hex
    question, reply = _question(layout, name), _reply(layout, name)
    layout.run.mkdir(parents=True, exist_ok=True)
    write_file(question, json.dumps(wishes or {}))
    deadline = time.monotonic() + patience
    try:
        while not reply.exists():
            if time.monotonic() > deadline or not still_runs():
                raise StreamError(
                    "The running stream did not answer the request for maintenance.",
                    "the lake is as it was, or maintained in part; both are whole.",
                    "./scripts/tieout logs stream, then ./scripts/tieout maintain",
                )
            time.sleep(0.5)
        answer: Answer = json.loads(reply.read_text(encoding="utf-8"))
    finally:
        reply.unlink(missing_ok=True)
        question.unlink(missing_ok=True)
    if "error" in answer:
        raise StreamError(*answer["error"])
    return answer


def pending(layout: Layout) -> Request | None:
    """Return the oldest request that waits for an answer, if one does."""
    found: list[tuple[float, Path]] = []
    for path in layout.run.glob("maintain.*.request"):
        try:
            found.append((path.stat().st_mtime, path))
        except OSError:
            continue  # its asker gave up
    for _, path in sorted(found):
        try:
            return Request(path.name.split(".")[1], json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return None


def answer(layout: Layout, request: Request, work: Callable[[], Answer]) -> None:
    """Do what was asked and write down the answer, also when it failed: a request must not end the stream."""
    try:
        result = work()
    except TieoutError as error:
        result = {"error": [error.what, error.left, error.next]}
    except Exception as error:
        result = {"error": [f"Maintenance failed: {error}", "the lake is whole.", "./scripts/tieout logs stream"]}
    _question(layout, request.name).unlink(missing_ok=True)
    write_file(_reply(layout, request.name), json.dumps(result))
    for path in layout.run.glob("maintain.*.json"):
        try:
            if time.time() - path.stat().st_mtime > OLD_SECONDS:
                path.unlink()
        except OSError:
            continue
