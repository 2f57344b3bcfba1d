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
_COMPARE: Final = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


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
        _check(self._tree)

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
        places = {name: number for number, name in enumerate(columns)}
        body = _Columns(places).visit(ast.parse(self.text.strip(), mode="eval").body)
        functions = {name: function for name, (function, _, _) in FUNCTIONS.items()}
        names = {"__builtins__": {}, **functions, **keyed}
        # Python runs what `_check` has passed: columns, texts, and the functions above.
        return eval(compile(f"lambda row: {ast.unparse(body)}", "<expression>", "eval"), names)  # type: ignore[no-any-return]  # noqa: S307


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


def _check(node: ast.expr) -> None:
    """Refuse what is not of this language.

    Raises:
        ExpressionError: a part is not.
    """
    match node:
        case ast.Constant(value=str()) | ast.Name():
            return
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.BoolOp(values=parts):
            pass
        case ast.BinOp(left=first, op=ast.Add(), right=second):
            parts = [first, second]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            parts = [test, body, orelse]
        case ast.UnaryOp(op=ast.Not(), operand=part):
            parts = [part]
        case ast.Compare(left=first, ops=[sign], comparators=[second]) if isinstance(sign, _COMPARE):
            parts = [first, second]
        case ast.Call():
            parts = _checked_call(node)
        case _:
            raise ExpressionError(f"{ast.unparse(node)!r} is nothing that an expression of a mapping may hold")
    for part in parts:
        _check(part)


def _checked_call(node: ast.Call) -> list[ast.expr]:
    """Return those values of a call that are expressions themselves."""
    name = _name(node)
    if name == "col":
        if node.keywords or len(node.args) != 1 or not _is_text(node.args[0]):
            raise ExpressionError('col("...") takes the name of one column')
        return []
    if name in KEYED:
        least, most = 1, 1
    elif name in FUNCTIONS:
        _, least, most = FUNCTIONS[name]
    else:
        known = ", ".join([*FUNCTIONS, *KEYED, "col"])
        raise ExpressionError(f"there is no function {ast.unparse(node.func)}; there are {known}")
    if node.keywords or not least <= len(node.args) <= most:
        raise ExpressionError(f"{name} takes {least if least == most else f'{least} to {most}'} values")
    _check_constants(name, node)
    return [each for each in node.args if not _is_number(each)]


class _Columns(ast.NodeTransformer):
    """Puts a row's value where a column is named; an absent one is the empty text."""

    def __init__(self, places: Mapping[str, int]) -> None:
        self._places = places

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._value(node.id)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if _name(node) == "col" and isinstance(node.args[0], ast.Constant):
            return self._value(str(node.args[0].value))
        node.args = [self.visit(each) for each in node.args]
        return node

    def _value(self, name: str) -> ast.expr:
        return ast.parse(f"(row[{self._places[name]}] or '')", mode="eval").body


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_number(node: ast.expr) -> bool:
    value = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return isinstance(value, ast.Constant) and type(value.value) is int


def _check_constants(name: str, node: ast.Call) -> None:
    """Refuse what would fail at a row."""
    numbers = {"left": 1, "right": 1, "part": 2}
    for place, argument in enumerate(node.args):
        is_number = _is_number(argument)
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
