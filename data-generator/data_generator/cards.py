"""Card numbers become keyed hashes here; nothing behind this module knows a number."""

from hashlib import blake2b, sha512
from typing import NamedTuple

from data_generator.card_row import CardRow
from data_generator.world import email_address, ip_address

_REMEMBERED = 100_000


class CardHolder(NamedTuple):
    """What the gateway says of a card's holder: pseudonym, name, made-up address and method."""

    customer_id: str
    key: bytes
    name: str
    email: str
    ip_address: str
    method: str


class CardHolders:
    """Card rows to holders.

    Args:
        secret: CARD_HASH_KEY. The same card and key give the same customer_id, in every run; without the key a
            number cannot be found by hashing all numbers.
    """

    def __init__(self, secret: str) -> None:
        self._secret = sha512(secret.encode()).digest()
        self._known: dict[tuple[str, str, str], CardHolder] = {}

    def of(self, row: CardRow) -> CardHolder:
        """Return the holder of the row's card."""
        who = (row.card_number, row.first, row.last)
        found = self._known.get(who)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[who] = self._holder(*who)
        return found

    def _holder(self, card_number: str, first: str, last: str) -> CardHolder:
        digest = blake2b(card_number.encode(), key=self._secret, digest_size=16, person=b"tieout-card").digest()
        customer_id = "C" + digest[:10].hex().upper()
        name = f"{first} {last}"
        method = "Credit Card" if digest[10] < 166 else "Debit Card"
        address = ip_address(int.from_bytes(digest[11:14], "big"))
        return CardHolder(
            customer_id, customer_id.encode(), name, email_address(name, digest[14:].hex()), address, method
        )
