"""The alert rules as Python objects, read once from alerts.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

RULES_FILE = Path(__file__).with_name("entities") / "transactions" / "alerts.yaml"
PLACES_FILE = Path(__file__).with_name("places.csv")


@dataclass(frozen=True)
class AlertRule:
    """One rule.

    Attributes:
        code: stable, in capitals; the same word in alerts, docs and pages.
        version: raised with every change of meaning or thresholds.
        settings: its thresholds, as the file states them.
    """

    code: str
    version: int
    meaning: str
    settings: Mapping[str, Any]

    def number(self, name: str) -> int:
        """Return a threshold that is no money."""
        return int(self.settings[name])

    def money(self, name: str, currency: str) -> Decimal | None:
        """Return a threshold in major units; None where the rule does not speak of the currency."""
        stated = self.settings[name].get(currency)
        return None if stated is None else Decimal(str(stated))

    def limit(self, currency: str, category: str) -> Decimal | None:
        """Return the limit of a category and currency; None where the rule does not speak of the currency."""
        stated = self.settings["limits"].get(currency)
        return None if stated is None else Decimal(str(stated.get(category, stated["default"])))


@dataclass(frozen=True)
class AlertRules:
    """All rules, and how much is remembered of a customer."""

    remembered_amounts: int
    remembered_moments: int
    remembered_merchants: int
    rules: tuple[AlertRule, ...]

    def rule(self, code: str) -> AlertRule:
        """Return the rule of a code."""
        return next(rule for rule in self.rules if rule.code == code)


def parse_alert_rules(text: str) -> AlertRules:
    """Return the rules that a YAML document states.

    Raises:
        KeyError: a part is missing.
    """
    document = yaml.safe_load(text)
    memory = document["memory"]
    rules = tuple(
        AlertRule(
            node["code"],
            node["version"],
            " ".join(node["meaning"].split()),
            {name: value for name, value in node.items() if name not in {"code", "version", "meaning"}},
        )
        for node in document["rules"]
    )
    return AlertRules(memory["amounts"], memory["moments"], memory["merchants"], rules)


@cache
def load_alert_rules() -> AlertRules:
    """Return the platform's alert rules."""
    return parse_alert_rules(RULES_FILE.read_text(encoding="utf-8"))
