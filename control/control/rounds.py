"""The whole pipeline once: stream, load, build, proof. One round at a time on a home."""

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

from control.catching_up import catch_up
from control.progress import say
from core.errors import OutageError, TieoutError
from core.files import write_file
from core.layout import Layout
from core.locks import exclusive
from core.parts import join
from core.schema_revision import SchemaChangedError
from core.text import shown


@dataclass
class Outcome:
    """What a round did.

    Attributes:
        steps: one after the other with its seconds, and the entities that failed where others went on.
        proof: what the proof gave.
        errors: by step.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    proof: dict[str, Any] | None = None
    errors: dict[str, TieoutError] = field(default_factory=dict)

    @property
    def error(self) -> TieoutError | None:
        """What went wrong, of all steps; None where nothing did."""
        return join(self.errors) if len(self.errors) > 1 else next(iter(self.errors.values()), None)

    @property
    def ok(self) -> bool:
        """True when every step went well and no equation is different."""
        return self.error is None and bool(self.steps) and all(step["ok"] for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Return the form of `run --json`."""
        said = {"error": str(self.error)} if self.error else {}
        return {"ok": self.ok, "steps": self.steps, "proof": self.proof, **said}


def run_round(layout: Layout, settings: Mapping[str, str], *, service_runs: bool) -> Outcome:
    """Bring everything that Kafka has at the call into proven marts.

    A step that fails ends the round, but for what says nothing of the next step: where only some entities failed, the
    others go on, and a build that failed is still proven. Errors are in the outcome, not raised, so that every step
    shows.

    Args:
        service_runs: a supervised stream is waited for; otherwise the lake is filled by a stream of our own.
    """
    outcome = Outcome()
    layout.run.mkdir(parents=True, exist_ok=True)
    with exclusive(layout.run / "round.lock", partial(say, "waiting for another round of the pipeline")):
        steps: list[tuple[str, Callable[[], str]]] = [
            ("stream", lambda: _stream(layout, settings, service_runs)),
            ("load", _load),
            ("build", _build),
            ("proof", lambda: _proof(outcome)),
        ]
        for name, work in steps:
            begun = time.monotonic()
            error: TieoutError | None = None
            try:
                said = work()
            except TieoutError as failed:
                error, said = failed, _words_of(failed)
            if name == "proof" and (difference := _difference(outcome.proof)):
                error = join({"books": difference, **error.failed}) if error else difference
            seconds = round(time.monotonic() - begun, 1)
            failed_entities = {"failed": list(error.failed)} if error and error.is_partial else {}
            outcome.steps.append({"name": name, "seconds": seconds, "ok": error is None, **failed_entities})
            say(f"  {name:<7} {said:<60} {seconds:5.1f} s")
            if error:
                outcome.errors[name] = error
            if error and not (error.is_partial or (name == "build" and not isinstance(error, OutageError))):
                break
        if outcome.ok:
            _remember(layout, outcome)
    return outcome


def _remember(layout: Layout, outcome: Outcome) -> None:
    """Keep when the last good round was, for whoever watches."""
    known = {"finished_at": datetime.now(UTC).isoformat(), "steps": outcome.steps}
    write_file(layout.run / "last-round.json", json.dumps(known), mode=0o600)


def _stream(layout: Layout, settings: Mapping[str, str], service_runs: bool) -> str:
    held = catch_up(layout, settings, service_runs=service_runs)
    waiting = f"; {held:,} offsets wait for an open transaction" if held else ""
    return f"the lake has every committed event of Kafka{waiting}"


def _words_of(error: TieoutError) -> str:
    """Return what a step says that failed: also what it did for the entities that went well."""
    if not error.is_partial:
        return "failed"
    done = error.done if isinstance(error.done, str) else "the others went on"
    return f"{done}; {', '.join(error.failed)} FAILED"


def _load() -> str:
    from warehouse.load import run_loads

    try:
        return _loaded(run_loads(say=lambda _: None))  # one line a step is said here
    except TieoutError as error:
        error.done = _loaded(error.done or [])
        raise


def _loaded(loads: list[dict[str, Any]]) -> str:
    rows, duplicates, rejected = (sum(load[key] for load in loads) for key in ("rows_loaded", "duplicates", "rejected"))
    return f"{rows:,} rows, {duplicates:,} duplicates, {rejected:,} rejected" if loads else "nothing new in the lake"


def _build() -> str:
    from transformation.build import run_build
    from transformation.cli import LOCK_WAIT_SECONDS

    built = run_build(full_refresh=False, wait_seconds=LOCK_WAIT_SECONDS)
    if not built["models"]:
        return "nothing new in silver"
    late = built.get("event_to_gold")
    delay = f", p95 from event to gold {late['p95_seconds']:.0f} s" if late else ""
    return f"{len(built['models'])} models, {built['tests']} tests{delay}"


def _proof(outcome: Outcome) -> str:
    from warehouse.proof import run_proof

    try:
        outcome.proof = run_proof(full=False, strict=False)
    except TieoutError as error:
        outcome.proof = error.done
        error.done = _verdicts(error.done) if error.done else None
        raise
    return _verdicts(outcome.proof)


def _verdicts(proof: dict[str, Any]) -> str:
    verdicts = [equation["verdict"] for equation in proof["equations"]]
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "nothing to prove yet"


def _difference(proof: dict[str, Any] | None) -> TieoutError | None:
    """Return what does not tie out as an error: a round that ends so must not look like any other."""
    different = [e for e in proof["equations"] if e["verdict"] == "DIFFERENT"] if proof else []
    if not different:
        return None

    def words(equation: dict[str, Any]) -> str:
        scope = ", ".join(f"{key} {shown(value)}" for key, value in equation["scope"].items() if key != "topic_id")
        difference = equation["difference"]
        amount = f" and {difference['amount']} {shown(equation['currency'])}" if equation["currency"] else ""
        return f"{equation['name']} ({scope}): {difference['count']}{amount}"

    more = f"; and {len(different) - 5} more" if len(different) > 5 else ""
    return TieoutError(
        f"the books do not tie out. {'; '.join(words(equation) for equation in different[:5])}{more}.",
        "nothing was changed; metadata.proof has every equation.",
        "./scripts/tieout proof --full, then docs/runbook.md",
    )


def follow_rounds(layout: Layout, settings: Mapping[str, str], *, service_runs: bool) -> NoReturn:
    """Repeat rounds in this process until it is told to end; a round that fails is said and tried again.

    SIGTERM ends the round as an exception, so that a build gives its lock back.

    Raises:
        SchemaChangedError: the schema has become another one.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    every = float(settings["RUN_EVERY_SECONDS"])
    while True:
        begun = time.monotonic()
        outcome = run_round(layout, settings, service_runs=service_runs)
        for error in outcome.errors.values():
            if isinstance(error, SchemaChangedError):
                raise error  # its supervisor starts it again, with the code of now
        if outcome.error:
            say(str(outcome.error))
        time.sleep(max(1.0, every - (time.monotonic() - begun)))
