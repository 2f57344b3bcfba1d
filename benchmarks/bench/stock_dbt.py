"""dbt's stock strategies in a project of their own, run by a dbt that stays warm."""

import os
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from bench.frame import BenchError
from bench.ground import GONE, Ground
from bench.served import Served, served
from core.layout import CHECKOUT
from transformation.dbt_process import WORKER

PROJECT = Path(__file__).parents[1] / "peers" / "dbt"


class StockDbt(AbstractContextManager["StockDbt"]):
    """A dbt of the same version as ours, on the stock project."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._ends = ExitStack()
        self._dbt: Served | None = None

    def __enter__(self) -> "StockDbt":
        python = CHECKOUT / ".tieout" / "env" / "dbt" / "bin" / "python"
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        command = [str(python), "-uP", str(WORKER)]
        self._dbt = self._ends.enter_context(served(command, None, environment))
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def run(self, select: str, *more: str) -> dict[str, Any]:
        """Run the models that a selector names.

        Raises:
            BenchError: a model failed.
        """
        assert self._dbt is not None  # noqa: S101  # it was entered
        names = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_PASSWORD_POSTGRES")
        target = str(self._ground.handle.home / "stock-dbt")
        answer = self._dbt.ask(
            project="stock",
            globals=["--log-level", "none", "--log-path", target],
            args=["run", "--select", select, *more],
            options=["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", target],
            env={name: self._ground.env[name] for name in names} | {"DO_NOT_TRACK": "1"},
        )
        if not answer["ok"]:
            wrong = [node["message"] for node in answer["nodes"] if node["status"] not in ("success", "pass")]
            raise BenchError(f"stock dbt {select} failed: {answer['error'] or wrong}", GONE, "run the hop alone")
        return {"models": {node["name"]: node["seconds"] for node in answer["nodes"]}}
