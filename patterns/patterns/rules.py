"""The thresholds of the patterns, from `rules.yaml` or a file like it."""

from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from core.errors import TieoutError
from core.text import shown

OWN = Path(__file__).with_name("rules.yaml")

Weight = Literal["pair", "customer", "types"]
Percentile = Literal["percent_rank", "interpolated"]

UPGRADE, CHILD, DEI_NEEDED = "PatId1", "PatId2", "PatId3"
ACTIONS = {UPGRADE: "UPGRADE", CHILD: "CHILD", DEI_NEEDED: "DEI-NEEDED"}


@dataclass(frozen=True)
class Rules:
    """Thresholds; `rules.yaml` says what each means, with an example.

    Attributes:
        share: between 0 and 1.
        merchant_above: transactions of a merchant.
        weight: which of a customer's weights.
        percentile: how a share is taken.
        child_at_least: transactions of a customer with a merchant.
        child_below: mean amount.
        females_above: distinct customers.
    """

    share: Decimal
    merchant_above: int
    weight: Weight
    percentile: Percentile
    child_at_least: int
    child_below: Decimal
    females_above: int

    def as_json(self) -> dict[str, Any]:
        """Return them as JSON types."""
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in asdict(self).items()}

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> "Rules":
        """Return what `as_json` made."""
        decimals = {name: Decimal(values[name]) for name in ("share", "child_below")}
        return cls(**{**values, **decimals})


def load_rules(path: Path = OWN) -> Rules:
    """Read a file of rules.

    Raises:
        TieoutError: it cannot be read, or a value is not what its rule needs.
    """
    try:
        # BaseLoader leaves every number as the text that it is.
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  (it makes text alone)
        return _parsed(found)
    except OSError as error:
        raise _refused(path, f"{error.strerror}") from None
    except yaml.YAMLError as error:
        raise _refused(path, " ".join(str(error).split())) from None
    except (KeyError, TypeError) as error:
        raise _refused(path, f"{shown(error)} is missing") from None
    except (ValueError, InvalidOperation) as error:
        raise _refused(path, str(error)) from None


def _parsed(found: Any) -> Rules:
    upgrade, child, dei = found["upgrade"], found["child"], found["dei_needed"]
    known = {
        "upgrade": {"share", "merchant_transactions_above", "weight", "percentile"},
        "child": {"transactions_at_least", "mean_amount_below"},
        "dei_needed": {"female_customers_above"},
    }
    for name, part in found.items():
        unknown = set(part) - known[name] if name in known else {name}
        if unknown:
            raise ValueError(f"{shown(min(unknown))} is no threshold")
    share = _number("share", upgrade["share"])
    if not 0 < share < 1:
        raise ValueError(f"share is {shown(share)}, and must be between 0 and 1")
    return Rules(
        share=share,
        merchant_above=_whole("merchant_transactions_above", upgrade["merchant_transactions_above"]),
        weight=_one_of("weight", upgrade["weight"], get_args(Weight)),
        percentile=_one_of("percentile", upgrade["percentile"], get_args(Percentile)),
        child_at_least=_whole("transactions_at_least", child["transactions_at_least"]),
        child_below=_number("mean_amount_below", child["mean_amount_below"]),
        females_above=_whole("female_customers_above", dei["female_customers_above"]),
    )


def _number(name: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{name} is {shown(text)}, which is no number") from None
    if not value.is_finite():
        raise ValueError(f"{name} is {shown(text)}, which is no number")
    return value


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 18):
        raise ValueError(f"{name} is {shown(text)}, which is no whole number")
    return int(text)


def _one_of(name: str, text: str, values: tuple[str, ...]) -> Any:
    if text not in values:
        raise ValueError(f"{name} is {shown(text)}, and must be one of {', '.join(values)}")
    return text


def _refused(path: Path, why: str) -> TieoutError:
    return TieoutError(
        f"the rules in {shown(path)} cannot be used: {why}.", "nothing was read or written.", f"mend them after {OWN}"
    )
