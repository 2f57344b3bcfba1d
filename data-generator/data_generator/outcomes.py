"""How payments go: methods, failures and settlements, in shares that a payment gateway sees."""

from typing import Final

PENDING: Final = "PENDING"
SUCCESS: Final = "SUCCESS"
FAILED: Final = "FAILED"

# Draws are 16 bits wide.
DRAW_RANGE: Final = 1 << 16
STARTS_PENDING_BELOW: Final = round(0.08 * DRAW_RANGE)
FAILS_BELOW: Final = round(0.05 * DRAW_RANGE)
_MOBILE_BELOW: Final = round(0.72 * DRAW_RANGE)
_DESKTOP_BELOW: Final = round(0.92 * DRAW_RANGE)

_CARD_FAILURES: Final = (
    "INSUFFICIENT_FUNDS",
    "INSUFFICIENT_FUNDS",
    "INSUFFICIENT_FUNDS",
    "DO_NOT_HONOUR",
    "DO_NOT_HONOUR",
    "AUTHENTICATION_FAILED",
    "EXPIRED_CARD",
    "CARD_LIMIT_EXCEEDED",
    "SUSPECTED_FRAUD",
    "ISSUER_UNAVAILABLE",
)
# Repeated entries are the more frequent ones.
FAILURE_REASONS: Final[dict[str, tuple[str, ...]]] = {
    "Credit Card": _CARD_FAILURES,
    "Debit Card": _CARD_FAILURES,
    "UPI": (
        "UPI_TIMEOUT",
        "UPI_TIMEOUT",
        "UPI_TIMEOUT",
        "UPI_WRONG_PIN",
        "UPI_WRONG_PIN",
        "INSUFFICIENT_FUNDS",
        "INSUFFICIENT_FUNDS",
        "UPI_COLLECT_EXPIRED",
        "UPI_DAILY_LIMIT_EXCEEDED",
        "BENEFICIARY_BANK_DOWN",
    ),
    "Net Banking": (
        "SESSION_EXPIRED",
        "SESSION_EXPIRED",
        "BANK_UNAVAILABLE",
        "INSUFFICIENT_FUNDS",
        "AUTHENTICATION_FAILED",
    ),
    "Wallet": ("WALLET_BALANCE_LOW", "WALLET_BALANCE_LOW", "WALLET_LIMIT_EXCEEDED", "KYC_INCOMPLETE"),
}

# Indian payments by method, in percent.
INDIAN_METHODS: Final = (
    ("UPI", 58),
    ("Debit Card", 12),
    ("Credit Card", 12),
    ("Net Banking", 9),
    ("Wallet", 9),
)


def failure_reason(method: str, draw: int) -> str:
    """Return a reason that fits the method; `draw` is any number of at least 0."""
    reasons = FAILURE_REASONS[method]
    return reasons[draw % len(reasons)]


def device(category: str, method: str, draw: int) -> str:
    """Return what the customer paid with: a terminal in a shop, else mostly a phone; `draw` has 16 bits."""
    if category.endswith("_pos") and method in ("Credit Card", "Debit Card"):
        return "pos_terminal"
    if draw < _MOBILE_BELOW:
        return "mobile"
    return "desktop" if draw < _DESKTOP_BELOW else "tablet"
