"""How good the alert rules are on labelled card payments: precision, recall and value caught, on rows held apart.

Run it with: .tieout/env/platform/bin/python benchmarks/alert_quality.py [FILE ...] [--split 0.5]
Files are of the fraudTrain form (.csv, .csv.gz or .parquet); without any, the bundled sample. Rows are replayed in the
order of time.
Thresholds are chosen on the earlier rows alone, by F1; all that is printed is counted on the later rows. A second table
is the rules as contracts/contracts/entities/transactions/alerts.yaml has them.
"""

import argparse
import csv
import gzip
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from contracts.alerts import AlertRule, AlertRules, load_alert_rules
from live.alerts.judge import CHECKS
from live.alerts.memory import Memory, Seen
from live.events import Place

CHECKOUT = Path(__file__).resolve().parents[1]
SAMPLE = CHECKOUT / "data" / "samples" / "fraudTrain_33k.csv.gz"
COLUMNS = ("trans_date_trans_time", "cc_num", "merchant", "category", "amt", "city", "state", "trans_num", "is_fraud")
AMOUNTS = (100, 200, 250, 300, 400, 500, 600, 700, 800, 900, 1000, 1200)


@dataclass
class Score:
    """What a rule flagged: frauds and others, by count and amount."""

    caught: int = 0
    false: int = 0
    caught_value: Decimal = Decimal(0)

    def add(self, one: Seen, *, is_fraud: bool) -> None:
        """Count a flagged payment."""
        if is_fraud:
            self.caught += 1
            self.caught_value += one.amount
        else:
            self.false += 1


@dataclass
class Part:
    """The rows of one side of the split."""

    rows: int = 0
    frauds: int = 0
    fraud_value: Decimal = Decimal(0)
    scores: dict[Any, Score] = field(default_factory=lambda: defaultdict(Score))

    def f1(self, key: Any) -> float:
        """Return the harmonic mean of precision and recall."""
        score = self.scores[key]
        return 2 * score.caught / (score.caught + score.false + self.frauds) if score.caught else 0.0


def read(path: Path) -> Iterator[dict[str, str]]:
    """Yield a file's rows as texts."""
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(20_000, columns=list(COLUMNS)):
            for row in batch.to_pylist():
                yield {name: f"{value:.2f}" if name == "amt" else str(value) for name, value in row.items()}
        return
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    yield from csv.DictReader(io.StringIO(text, newline=""))


def payments(paths: Iterable[Path]) -> list[tuple[Seen, bool]]:
    """Return all rows in the order of time, as the rules look at them, with their label."""
    rows = sorted(
        (tuple(row[name] for name in COLUMNS) for path in paths for row in read(path)), key=lambda row: (row[0], row[7])
    )
    found = []
    for offset, (when, card, merchant, category, amount, city, state, number, label) in enumerate(rows):
        at = datetime.fromisoformat(when).replace(tzinfo=UTC)
        one = Seen(
            Place("file", 0, offset), number, card, True, "SUCCESS", at, at, 0, Decimal(amount), "USD",
            merchant.removeprefix("fraud_"), category, city, state, "US",
        )  # fmt: skip
        found.append((one, label == "1"))
    return found


def variants(rules: AlertRules, earlier: list[tuple[Seen, bool]]) -> dict[str, list[AlertRule]]:
    """Return the thresholds to choose from; rules that labelled rows say nothing of stay as they are."""
    frauds = Counter(one.merchant_category for one, is_fraud in earlier if is_fraud)
    watched = [category for category, _ in frauds.most_common(5)]
    found: dict[str, list[AlertRule]] = {}
    for rule in rules.rules:
        changes: list[dict[str, Any]] = [{}]
        if rule.code == "AMOUNT_OVER_LIMIT":
            changes = [{"limits": {"USD": {"default": each}}} for each in AMOUNTS]
        elif rule.code == "AMOUNT_FAR_ABOVE_HISTORY":
            changes = [
                {"times": times, "at_least": {"USD": each}} for times in (3, 5, 8, 12) for each in AMOUNTS[1:8:2]
            ]
        elif rule.code in {"NEW_MERCHANT_HIGH_AMOUNT", "NIGHT_TIME"}:
            changes = [{"at_least": {"USD": each}} for each in AMOUNTS]
        elif rule.code == "WATCHED_CATEGORY":
            changes = [
                {"categories": watched[:most], "at_least": {"USD": each}}
                for most in (1, 2, 3, 4)
                for each in AMOUNTS[1::2]
            ]
        found[rule.code] = [AlertRule(rule.code, rule.version, rule.meaning, {**rule.settings, **c}) for c in changes]
    return found


def replay(
    events: list[tuple[Seen, bool]], split: int, rules: AlertRules, tried: dict[str, list[AlertRule]]
) -> tuple[Part, Part]:
    """Judge all payments in one pass by all thresholds; memories go on over the split."""
    parts = (Part(), Part())
    memories: dict[str, Memory] = {}
    for number, (one, is_fraud) in enumerate(events):
        part = parts[number >= split]
        part.rows += 1
        part.frauds += is_fraud
        part.fraud_value += one.amount if is_fraud else 0
        memory = memories.setdefault(one.customer_id, Memory([0, one.place.offset]))
        for code, choices in tried.items():
            for choice, rule in enumerate(choices):
                if CHECKS[code](rule, memory, one) is not None:
                    part.scores[code, choice].add(one, is_fraud=is_fraud)
        stated = [rule.code for rule in rules.rules if CHECKS[rule.code](rule, memory, one) is not None]
        for code in stated:
            part.scores[code].add(one, is_fraud=is_fraud)
        if stated:
            part.scores["any of them"].add(one, is_fraud=is_fraud)
        memory.add(one, rules)
    return parts


HEAD = "| rule | thresholds (USD) | flagged | frauds | precision | recall | value caught |\n" + "|---" * 7 + "|"


def line(name: str, part: Part, key: Any, note: str = "") -> str:
    """Return a row of the table, counted on one part."""
    score = part.scores[key]
    flagged = score.caught + score.false
    precision = f"{100 * score.caught / flagged:.1f} %" if flagged else "-"
    recall = f"{100 * score.caught / part.frauds:.1f} %" if part.frauds else "-"
    value = f"{100 * score.caught_value / part.fraud_value:.1f} %" if part.fraud_value else "-"
    return f"| {name} | {note} | {flagged:,} | {score.caught:,} | {precision} | {recall} | {value} |"


def said(rule: AlertRule) -> str:
    """Return a rule's thresholds for US dollars, in short."""
    parts = []
    for name, value in rule.settings.items():
        shown = value.get("USD") if isinstance(value, dict) else value
        shown = shown["default"] if isinstance(shown, dict) else shown
        parts.append(f"{name} {', '.join(shown) if isinstance(shown, list) else shown}")
    return "; ".join(parts)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("files", nargs="*", type=Path, default=[SAMPLE])
    parser.add_argument("--split", type=float, default=0.5, help="share of the rows, by time, to choose thresholds on")
    arguments = parser.parse_args()
    rules, events = load_alert_rules(), payments(arguments.files)
    split = int(len(events) * arguments.split)
    tried = variants(rules, events[:split])
    earlier, later = replay(events, split, rules, tried)
    sys.stdout.write(
        f"chosen on {earlier.rows:,} rows ({earlier.frauds} frauds) up to {events[split - 1][0].occurred_at:%Y-%m-%d}; "
        f"counted on {later.rows:,} rows ({later.frauds} frauds, {later.fraud_value:,.2f} USD) behind\n\n{HEAD}\n"
    )
    for code, choices in tried.items():
        best = max(range(len(choices)), key=lambda choice: earlier.f1((code, choice)))
        sys.stdout.write(line(f"`{code}`", later, (code, best), said(choices[best])) + "\n")
    sys.stdout.write(f"\nas alerts.yaml has them, on the same later rows\n\n{HEAD}\n")
    for rule in rules.rules:
        sys.stdout.write(line(f"`{rule.code}`", later, rule.code, said(rule)) + "\n")
    sys.stdout.write(line("any of them", later, "any of them") + "\n")


if __name__ == "__main__":
    main()
