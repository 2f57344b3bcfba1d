"""Whether the contract and the statement can carry a card row: asked before anything is sent.

A row that would become a malformed event is refused here. One that breaks a business rule (an amount of 0, a name
that is too long) is sound enough to be sent: the platform rejects it, and says why.
"""

import re
from functools import cache
from typing import Final

from contracts.entities import load_entity
from contracts.event_json import to_json
from contracts.model import PAYMENTS
from contracts.statement import is_footer
from contracts.verdict import judge
from core.csv_text import guarded
from core.text import shown
from data_generator.card_row import CardRow
from data_generator.cards import CardHolders
from data_generator.payments import PaymentMaker
from data_generator.world import World

Problems = tuple[tuple[str | None, str], ...]

# The gateway's own limit: the reader of statements takes 4,096 characters, and the contract calls an id of more than 64
# invalid.
_LONGEST_ID: Final = 200
_SHOWN: Final = 60
# Of printable ASCII, far below the contract's limit: nothing of it can be malformed.
_PLAIN_LINE: Final = 10_000
_PLAIN_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")
_TEXTS: Final = ("merchant", "category", "first", "last", "city", "state", "trans_num")
_PLAIN: Final = CardRow(1, 0, "4000000000000002", "a", "a", 1, "a", "a", "a", "a", "a", is_fraud=False)


def is_plain(text: str, row: CardRow) -> bool:
    """Return whether a line is sound at first sight: `problems` would find nothing.

    Args:
        text: the line without its end.
    """
    plain = text.isascii() and text.isprintable() and len(text) <= _PLAIN_LINE
    return plain and _PLAIN_ID.fullmatch(row.trans_num) is not None and not is_footer(row.trans_num)


def problems(row: CardRow) -> Problems:
    """Return what makes a row impossible to send, by column; None stands for the row as a whole."""
    found: list[tuple[str | None, str]] = []
    # A column that is malformed by itself makes the row so: of a sound row no column is judged.
    if whole := _malformed(row):
        for column in _TEXTS:
            if reasons := _malformed(_PLAIN._replace(**{column: getattr(row, column)})):
                found.append((column, reasons))
        found = found or [(None, whole)]
    identity = _unfit_for_statements(row.trans_num)
    if identity:
        found.append(("trans_num", f"{shown(row.trans_num[:_SHOWN])} {identity}"))
    return tuple(found)


@cache
def _maker() -> PaymentMaker:
    return PaymentMaker("", World((), ()), CardHolders(""), 1)


def _malformed(row: CardRow) -> str:
    """Return the strict parser's reasons against a row's event, each with its meaning."""
    entity = load_entity(PAYMENTS)
    reasons = judge(to_json(_maker().original(row).fields), entity).reasons
    return "; ".join(f"{code}: {entity.rule(code).meaning.rstrip('.')}" for code in sorted(reasons))


def _unfit_for_statements(identity: str) -> str | None:
    """Return why an id cannot stand on a statement and be found again by it."""
    if is_footer(identity):
        return "is the word of a statement's footer"
    if len(identity) > _LONGEST_ID:
        return f"... has {len(identity)} characters; the gateway sends {_LONGEST_ID} at most"
    if shown(identity) != identity:
        return "has characters that cannot be seen: two such ids look alike"
    if guarded(identity) != identity:
        return "is a formula to every spreadsheet that opens the statement"
    return None
