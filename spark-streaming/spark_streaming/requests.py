"""How a command asks the running stream for maintenance between batches: a file asks, another answers."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.errors import TieoutError
from contracts.layout import Layout
from spark_streaming.errors import StreamError

Answer = dict[str, Any]


def _question(layout: Layout) -> Path:
    return layout.run / "maintain.request"


def _reply(layout: Layout, request: str) -> Path:
    return layout.run / f"maintain.{request}.json"


def ask(layout: Layout, *, patience: float, still_runs: Callable[[], bool]) -> Answer:
    """Ask the running stream for maintenance and wait for its answer.

    Raises:
        StreamError: the stream failed at it, ended before it answered, or did not answer in time.
    """
    request = uuid.uuid4().hex
    question, reply = _question(layout), _reply(layout, request)
    layout.run.mkdir(parents=True, exist_ok=True)
    _write(question, request)
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


def pending(layout: Layout) -> str | None:
    """Return the request that waits for an answer, if one does."""
    try:
        return _question(layout).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def answer(layout: Layout, request: str, work: Callable[[], Answer]) -> None:
    """Do what was asked and write down the answer, also when it failed: a request must not end the stream."""
    try:
        result = work()
    except TieoutError as error:
        result = {"error": [error.what, error.left, error.next]}
    except Exception as error:
        result = {"error": [f"Maintenance failed: {error}", "the lake is whole.", "./scripts/tieout logs stream"]}
    _question(layout).unlink(missing_ok=True)
    _write(_reply(layout, request), json.dumps(result))


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
