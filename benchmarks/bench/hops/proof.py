"""The proof's share of a run's time."""

import json
from typing import Any

from bench.feed import words
from bench.frame import OURS, BenchError, Books, Goal, Hop, Outcome, Run, Side, Wish, sum_up
from bench.ground import GONE, Ground, own_platform

EVENTS = 10_000
MOST = 0.05


def measure(wish: Wish) -> Outcome:
    """Run the pipeline on 10,000 more payments again and again."""
    runs: dict[str, list[Run]] = {"whole run": [], "load, build and proof": [], "proof": []}
    with own_platform() as ground:
        for number in range(-1, wish.of(5, 1, 1)):
            steps, books = _run(ground, wish.of(EVENTS, EVENTS, 1_000))
            wish.say(f"  {'warm-up' if number < 0 else f'round {number + 1}'}: {steps}")
            if number < 0:
                continue  # the first build computes everything anew
            runs["whole run"].append(Run(sum(steps.values()), books, {"steps": steps}))
            runs["load, build and proof"].append(Run(sum(steps.values()) - steps["stream"], books))
            runs["proof"].append(Run(steps["proof"], books))
    figures = [sum_up(Side(name, OURS, lambda: runs["proof"][0]), found) for name, found in runs.items()]
    whole, without, proof = (figure.seconds for figure in figures)
    return Outcome(
        figures,
        [
            Goal("proof / whole run", proof / whole, MOST, at_least=False),
            Goal("proof / load, build and proof", proof / without, MOST, at_least=False),
        ],
        notes=[
            "the whole run starts a Spark of its own to drain the topic; beside a running stream the second line holds"
        ],
    )


def _run(ground: Ground, payments: int) -> tuple[dict[str, float], Books]:
    made = words(payments)
    del made[made.index("--seed") : made.index("--seed") + 4]  # new payments each time
    sent = json.loads(ground.tieout("produce", *made))
    found: dict[str, Any] = json.loads(ground.tieout("run", "--json"))
    equations = found["proof"]["equations"]
    if not found["ok"] or not equations:
        raise BenchError("a run did not end in a proof that ties out.", GONE, "run the hop alone")
    return {step["name"]: step["seconds"] for step in found["steps"]}, Books(sent["acknowledged"])


HOP = Hop("proof", "the proof's share of a run's time", measure, moves_rows=False)
