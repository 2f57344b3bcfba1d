"""How the footer of a statement is told from its payments: the same for who writes statements and who reads them."""

import re
from typing import Final

FOOTER_WORD: Final = "TOTAL"
# Words that stand for a footer where a payment has its id: total, Totals:, # grand total.
_FOOTER: Final = re.compile(r"#?\s*(?:grand\s+)?totals?:?", re.IGNORECASE)
_BEGINS: Final = frozenset("#tTgG ")


def is_footer(identity: str) -> bool:
    """Return whether a line with this text as its id is a footer, whatever blanks surround it."""
    return identity[:1] in _BEGINS and _FOOTER.fullmatch(identity.strip()) is not None
