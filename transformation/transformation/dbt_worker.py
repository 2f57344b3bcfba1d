"""Runs dbt in the dbt environment's own Python, one request after the other, and keeps the parsed project between them.

Started as a file by `transformation.dbt_process`: that environment has dbt and nothing of ours. A request is a JSON
line on stdin, answered on stdout:

    {"project": "<digest of the project's files>", "globals": [...], "args": ["build", ...], "options": [...],
     "env": {...}}
    {"event": "node", "node": "model.tieout.fact_transactions", "name": "fact_transactions", "kind": "model",
     "status": "success", "seconds": 1.2}
    {"event": "done", "ok": true, "nodes": [...], "error": null}

Without "args" the project is parsed, where it is not yet. The end of stdin ends the process at once, also in the middle
of a statement: a build whose starter was killed must not go on behind the back of the next one.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]
KINDS = ("model", "seed", "test", "unit_test")


def _take_stdout() -> Callable[[dict[str, Any]], None]:
    """Keep stdout for answers: what dbt or a library prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    return answer


def _read_requests(requests: "queue.Queue[Request]") -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)


class Project:
    """The parsed project; parsed anew when its files changed."""

    def __init__(self) -> None:
        self._digest: str | None = None
        self._manifest: Any = None

    def run(self, request: Request, answer: Callable[[dict[str, Any]], None]) -> None:
        """Run one dbt command and answer with its nodes as they end, then with all of them."""
        from dbt.cli.main import dbtRunner

        os.environ.update(request["env"])
        if self._manifest is None or self._digest != request["project"]:
            parsed = dbtRunner().invoke([*request["globals"], "parse", *request["options"]])
            if not parsed.success:
                answer(_done(False, [], _text(parsed.exception) or "the project does not parse"))
                return
            self._manifest, self._digest = parsed.result, request["project"]
        if not request["args"]:
            answer(_done(True, [], None))
            return

        def report(event: Any) -> None:
            if event.info.name == "NodeFinished" and event.data.node_info.resource_type in KINDS:
                info, result = event.data.node_info, event.data.run_result
                answer(
                    {"event": "node", "node": info.unique_id, "name": info.node_name, "kind": info.resource_type}
                    | {"status": result.status, "seconds": round(result.execution_time, 3)}
                )

        command = [*request["globals"], *request["args"], *request["options"]]
        ran = dbtRunner(manifest=self._manifest, callbacks=[report]).invoke(command)
        nodes = [_node(result) for result in getattr(ran.result, "results", [])]
        answer(_done(bool(ran.success), nodes, _text(ran.exception)))


def _node(result: Any) -> dict[str, Any]:
    return {
        "name": result.node.name,
        "kind": str(result.node.resource_type),
        "status": str(result.status),
        "seconds": round(result.execution_time, 3),
        "message": result.message,
    }


def _done(ok: bool, nodes: list[dict[str, Any]], error: str | None) -> dict[str, Any]:
    return {"event": "done", "ok": ok, "nodes": nodes, "error": error}


def _text(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"


def main() -> None:
    """Answer requests until stdin ends."""
    answer = _take_stdout()
    requests: queue.Queue[Request] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    project = Project()
    while True:
        project.run(requests.get(), answer)


if __name__ == "__main__":
    main()
