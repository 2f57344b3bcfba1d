"""Top and bottom shares of values, exactly: where the cut is."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import TypeVar

from patterns.rules import Percentile

Value = TypeVar("Value", int, Fraction)


def cut_by_rank(values: Sequence[Value], share: Decimal) -> Value:
    """Return the last value whose percent_rank is within a share.

    percent_rank is (rank - 1) / (values - 1), and 0 for a single value; rank - 1 is how many smaller ones (or larger
    ones, where the largest come first) there are, so that equals have one rank.

    Args:
        values: at least one, sorted so that the share begins with the first.
    """
    return values[floor(Fraction(share) * (len(values) - 1))]


def interpolated(values: Sequence[int] | Sequence[Fraction], part: Fraction) -> Fraction:
    """Return the value at a part of the way from the smallest to the largest, in proportion between two of them.

    Args:
        values: at least one, ascending.
        part: from 0 to 1.
    """
    place = part * (len(values) - 1)
    below = floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - Fraction(values[below]))


def top_cut(counts: Sequence[int], share: Decimal, how: Percentile) -> Fraction:
    """Return the smallest count that is in the top share.

    Args:
        counts: at least one, in any order.
    """
    if how == "percent_rank":
        return Fraction(cut_by_rank(sorted(counts, reverse=True), share))
    return interpolated(sorted(counts), 1 - Fraction(share))


def bottom_cut(values: Sequence[Fraction], share: Decimal, how: Percentile) -> Fraction:
    """Return the largest value that is in the bottom share.

    Args:
        values: at least one, ascending.
    """
    return cut_by_rank(values, share) if how == "percent_rank" else interpolated(values, Fraction(share))
