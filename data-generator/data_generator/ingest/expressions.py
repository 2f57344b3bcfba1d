"""Expressions of a mapping: a small language over a row's texts, with Python's grammar and none of its powers.

    first + " " + last                      texts after each other
    remove_prefix(merchant, "fraud_")       a function, see FUNCTIONS
    "FAILED" if errors else "SUCCESS"       a condition; an empty text is false
    type in ("charge", "payment")           a comparison
    col("Card Number")                      a column whose name is no Python name

A column's value is its text, an absent one the empty text. So is every result, but that of a condition.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

Row = Sequence[str | None]
Compiled = Callable[[Row], Any]


class ExpressionError(ValueError):
    """An expression cannot be used."""


def _part(text: str, separator: str, number: int) -> str:
    parts = text.split(separator)
    return parts[number] if -len(parts) <= number < len(parts) else ""


def _found(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return (match[1] if match.re.groups else match[0]) or "" if match else ""


# Each with how many texts it takes; whole numbers are written as such.
FUNCTIONS: Final[Mapping[str, tuple[Callable[..., str], int, int]]] = {
    "lower": (str.lower, 1, 1),
    "upper": (str.upper, 1, 1),
    "trim": (str.strip, 1, 1),
    "replace": (str.replace, 3, 3),
    "remove_prefix": (str.removeprefix, 2, 2),
    "remove_suffix": (str.removesuffix, 2, 2),
    "left": (lambda text, count: text[:count], 2, 2),
    "right": (lambda text, count: text[-count:] if count else "", 2, 2),
    "part": (_part, 3, 3),
    "found": (_found, 2, 2),
    "first_of": (lambda *texts: next((text for text in texts if text), ""), 1, 20),
}
# Functions that only a run with secrets can compute, by name.
KEYED: Final = ("card_id",)
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: lambda left, right: bool(left == right),
    ast.NotEq: lambda left, right: bool(left != right),
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


class Expression:
    """An expression that was read.

    Args:
        text: as the mapping states it.

    Attributes:
        columns: the columns that it names, in their order.
        is_keyed: whether it calls a function that needs a secret.

    Raises:
        ExpressionError: it is none of this language.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ExpressionError(f"{text!r} cannot be read: {said}") from None
        self.columns = tuple(dict.fromkeys(_columns(self._tree)))
        self.is_keyed = any(isinstance(node, ast.Call) and _name(node) in KEYED for node in ast.walk(self._tree))
        self._refuse_loose_numbers()
        places = {name: number for number, name in enumerate(self.columns)}
        _compile(self._tree, places, dict.fromkeys(KEYED, str))  # says what is wrong with it

    def _refuse_loose_numbers(self) -> None:
        """Refuse a number that is no value of a function: every value here is a text."""
        held = {id(argument) for node in ast.walk(self._tree) if isinstance(node, ast.Call) for argument in node.args}
        signed = {id(node.operand) for node in ast.walk(self._tree) if isinstance(node, ast.UnaryOp)}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, int) and id(node) not in held | signed:
                raise ExpressionError(f'{node.value} is a number, and values are texts: write "{node.value}"')

    def compiled(self, columns: Sequence[str], keyed: Mapping[str, Callable[[str], str]]) -> Compiled:
        """Return a function of a row's values.

        Args:
            columns: what the values are.
            keyed: the functions of KEYED.
        """
        return _compile(self._tree, {name: number for number, name in enumerate(columns)}, keyed)


def _columns(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Call):
        if _name(node) == "col" and len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)
            return
        for argument in node.args:
            yield from _columns(argument)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _columns(child)


def _name(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _compile(node: ast.expr, places: Mapping[str, int], keyed: Mapping[str, Callable[[str], str]]) -> Compiled:  # noqa: PLR0911
    def inner(child: ast.expr) -> Compiled:
        return _compile(child, places, keyed)

    match node:
        case ast.Constant(value=str() | int() as value) if not isinstance(value, bool):
            return lambda _row: value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return lambda _row: -number
        case ast.Name(id=name):
            return _column(places[name])
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            each = [inner(part) for part in parts]
            return lambda row: tuple(part(row) for part in each)
        case ast.BinOp(left=first, op=ast.Add(), right=second):
            left, right = inner(first), inner(second)
            return lambda row: left(row) + right(row)
        case ast.IfExp(test=asked, body=then, orelse=other):
            test, body, orelse = inner(asked), inner(then), inner(other)
            return lambda row: body(row) if test(row) else orelse(row)
        case ast.BoolOp(op=kind, values=parts):
            each, wanted = [inner(part) for part in parts], isinstance(kind, ast.Or)
            return lambda row: any(part(row) for part in each) if wanted else all(part(row) for part in each)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            operand = inner(part)
            return lambda row: not operand(row)
        case ast.Compare(left=first, ops=[sign], comparators=[second]) if type(sign) in _COMPARE:
            compare, left, right = _COMPARE[type(sign)], inner(first), inner(second)
            return lambda row: compare(left(row), right(row))
        case ast.Call():
            return _call(node, places, keyed)
    raise ExpressionError(f"{ast.unparse(node)!r} is nothing that an expression of a mapping may hold")


def _column(place: int) -> Compiled:
    return lambda row: row[place] or ""


def _call(node: ast.Call, places: Mapping[str, int], keyed: Mapping[str, Callable[[str], str]]) -> Compiled:
    name = _name(node)
    if name == "col":
        if node.keywords or len(node.args) != 1 or not isinstance(node.args[0], ast.Constant):
            raise ExpressionError('col("...") takes the name of one column')
        return _column(places[str(node.args[0].value)])
    if name in keyed:
        function, least, most = keyed[name], 1, 1
    elif name in FUNCTIONS:
        function, least, most = FUNCTIONS[name]
    else:
        known = ", ".join([*FUNCTIONS, *KEYED, "col"])
        raise ExpressionError(f"there is no function {ast.unparse(node.func)}; there are {known}")
    if node.keywords or not least <= len(node.args) <= most:
        raise ExpressionError(f"{name} takes {least if least == most else f'{least} to {most}'} values")
    _check_constants(name, node)
    arguments = [_compile(argument, places, keyed) for argument in node.args]
    if len(arguments) == 1:
        (only,) = arguments
        return lambda row: function(only(row))
    return lambda row: function(*(argument(row) for argument in arguments))


def _check_constants(name: str, node: ast.Call) -> None:
    """Refuse what would fail at a row."""
    numbers = {"left": 1, "right": 1, "part": 2}
    for place, argument in enumerate(node.args):
        value = argument.operand if isinstance(argument, ast.UnaryOp) else argument
        is_number = isinstance(value, ast.Constant) and isinstance(value.value, int)
        if is_number != (numbers.get(name) == place):
            raise ExpressionError(f"value {place + 1} of {name} is {'a text' if is_number else 'a whole number'}")
    if name == "part" and isinstance(node.args[1], ast.Constant) and not node.args[1].value:
        raise ExpressionError("part cannot cut at an empty text")
    if name == "found":
        pattern = node.args[1]
        if not isinstance(pattern, ast.Constant):
            raise ExpressionError("the pattern of found is written out")
        try:
            re.compile(str(pattern.value))
        except re.error as error:
            raise ExpressionError(f"{pattern.value!r} is no pattern: {error}") from None
