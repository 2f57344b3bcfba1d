"""The contract's rules over one event in plain Python: what silver would put into its rejected rows.

Silver judges in SQL (`warehouse/warehouse/rules.py`); a test holds the two against each other, rule by rule.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.model import Contract
from contracts.verdict import Verdict

FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_A_DAY = timedelta(days=1)

Check = Callable[[dict[str, Any], Verdict, datetime], bool]


def python_rules(contract: Contract) -> dict[str, Check]:
    """Return the condition of each invalid rule of an event, by reason code; false: the rule is broken.

    Each takes the event's fields, the strict parser's verdict and the arrival.

    Raises:
        KeyError: the contract has a rule that is not written here.
    """
    stated = {rule.code: rule for rule in contract.rules if rule.kind == "invalid" and rule.sql}
    blanks = "".join(chr(int(point)) for point in re.findall(r"chr\((\d+)\)", stated["CUSTOMER_ID_MISSING"].sql or ""))
    known: dict[str, Check] = {
        "TRANSACTION_ID_BLANK": _not_blank("transaction_id", blanks),
        "CUSTOMER_ID_MISSING": _not_blank("customer_id", blanks),
        "MERCHANT_NAME_MISSING": _not_blank("merchant_name", blanks),
        "MERCHANT_CATEGORY_MISSING": _not_blank("merchant_category", blanks),
        "AMOUNT_NOT_POSITIVE": lambda _, verdict, __: verdict.amount is not None and verdict.amount > 0,
        "FAILURE_REASON_MISSING": lambda event, _, __: (
            event.get("status") != "FAILED" or bool((event.get("failure_reason") or "").strip(blanks))
        ),
        "FAILURE_REASON_UNEXPECTED": lambda event, _, __: (
            event.get("status") == "FAILED" or event.get("failure_reason") is None
        ),
        "IS_FRAUD_MISSING": lambda event, _, __: event.get("is_fraud") is not None,
        "TIMESTAMP_IN_FUTURE": lambda _, verdict, arrived_at: (
            verdict.occurred_at is not None and verdict.occurred_at <= arrived_at + _A_DAY
        ),
        "TIMESTAMP_TOO_EARLY": lambda _, verdict, __: (
            verdict.occurred_at is not None and verdict.occurred_at >= FIRST_DAY
        ),
    }
    for field in contract.fields:
        if field.max_length:
            known[f"{field.name.upper()}_TOO_LONG"] = _not_longer(field.name, field.max_length)
        if field.enum:
            known[f"{field.name.upper()}_UNKNOWN"] = _one_of(field.name, frozenset(field.enum))
    return {code: known[code] for code in stated}


def _not_blank(name: str, blanks: str) -> Check:
    return lambda event, _, __: bool((event.get(name) or "").strip(blanks))


def _not_longer(name: str, limit: int) -> Check:
    return lambda event, _, __: len(event.get(name) or "") <= limit


def _one_of(name: str, values: frozenset[str]) -> Check:
    return lambda event, _, __: event.get(name) in values
