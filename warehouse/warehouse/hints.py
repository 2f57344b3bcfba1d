r"""What a dead letter seems to be worth: a best effort on its bytes, exact or nothing.

DuckDB writes bytes as text with everything but plain ASCII, and quotes, as \xNN: so bytes that are no text can be
searched as well.
"""

from contracts.model import Entity

# The fields come early in an event; what pads a value of megabytes is not worth reading.
SEARCHED = 65_536
_TEXT = f"left(cast(raw_value as varchar), {SEARCHED})"
_BLANKS = r"(?: |\\x0[9AD])*"
_AMOUNT_KEY = rf"\\x22%s\\x22{_BLANKS}:"
# Bounded as the contract bounds an amount. What ends it is asked for: a value that is cut off could be any.
_AMOUNT = rf"{_AMOUNT_KEY}{_BLANKS}(?:\\x22)?(-?[0-9]{{1,16}}(?:[.][0-9]{{1,4}})?)(?:[,}} \]]|\\x)"
_CURRENCY = rf"\\x22%s\\x22{_BLANKS}:{_BLANKS}\\x22([A-Z]{{3}})\\x22"


def money_hints(entity: Entity) -> tuple[str, str]:
    """Return the expressions of amount and currency over a column raw_value; both NULL where either is unknown.

    An amount is known when every one in the bytes is the same number (also where it is a text, or has more digits than
    its currency) and the currency is one of the contract's.
    """
    keys = f"len(regexp_extract_all({_TEXT}, '{_AMOUNT_KEY % entity.amount}'))"
    amounts = f"regexp_extract_all({_TEXT}, '{_AMOUNT % entity.amount}', 1)"
    currencies = f"regexp_extract_all({_TEXT}, '{_CURRENCY % entity.currency}', 1)"
    numbers = f"list_distinct(list_transform({amounts}, lambda x: try_cast(x as decimal(20,4))))"
    known = ", ".join(f"'{currency}'" for currency in entity.currencies)
    is_known = (
        f"{keys} = len({amounts}) and len({numbers}) = 1 "
        f"and len(list_distinct({currencies})) = 1 and {currencies}[1] in ({known})"
    )
    return (f"case when {is_known} then {numbers}[1] end", f"case when {is_known} then {currencies}[1] end")
