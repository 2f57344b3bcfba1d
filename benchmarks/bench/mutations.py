"""The small changes that `mutants.py` makes to a source: each is one place in the text, and what comes there."""

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise

_COMPARISONS = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "in": ("not in",), "not in": ("in",), "is": ("is not",), "is not": ("is",),
}  # fmt: skip
_OPERATORS = {
    "+": "-", "-": "+", "*": "+", "/": "*", "//": "*", "%": "*", "|": "&", "&": "|", "<<": ">>", "and": "or",
    "or": "and",
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "lstrip": "rstrip", "rstrip": "lstrip"}
# Matches nothing, in Python's patterns and in RE2's over bytes.
_NOTHING = r"[^\x00-\U0010ffff]", r"[^\x00-\xff]"


@dataclass(frozen=True)
class Mutation:
    """One change: the text from begin to end becomes another.

    Attributes:
        line: number of the first line that changes.
        before, after: that line, without the blanks around it.
    """

    line: int
    before: str
    after: str
    begin: int
    end: int
    text: str

    def applied(self, source: str) -> str:
        """Return the source with the change."""
        return source[: self.begin] + self.text + source[self.end :]


def mutations(source: str) -> Iterator[Mutation]:
    """Yield all changes to a source, in the order of its text; each once."""
    places = _Places(source)
    found = {*_of_tree(source, places), *_of_patterns(source, places)}
    for begin, end, text in sorted(found):
        line = source.count("\n", 0, begin)
        changed = source[:begin] + text + source[end:]
        yield Mutation(
            line + 1, source.splitlines()[line].strip(), changed.splitlines()[line].strip(), begin, end, text
        )


Change = tuple[int, int, str]


class _Places:
    """Where lines begin: columns of the syntax tree are bytes of a line, those of tokens are characters."""

    def __init__(self, source: str) -> None:
        self.source, self._lines = source, source.splitlines(keepends=True)
        self._begins = [0]
        for line in self._lines:
            self._begins.append(self._begins[-1] + len(line))

    def at(self, line: int, column: int) -> int:
        return self._begins[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def of_token(self, place: tuple[int, int]) -> int:
        return self._begins[place[0] - 1] + place[1]

    def of(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno or 0, node.end_col_offset or 0)


def _of_tree(source: str, places: _Places) -> Iterator[Change]:
    tree = ast.parse(source)
    left_alone = set(map(id, _left_alone(tree)))

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        if id(node) not in left_alone:
            yield node
            for child in ast.iter_child_nodes(node):
                yield from walk(child)

    for node in walk(tree):
        yield from _of_node(node, places)


def _left_alone(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what is not changed: annotations, decorators, docstrings, imports, what lies within an f-string."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
            yield node
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield from node.decorator_list
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(node) is not None:
            yield node.body[0]
        yield from (
            part for name in ("annotation", "returns") if isinstance(part := getattr(node, name, None), ast.AST)
        )


def _of_node(node: ast.AST, places: _Places) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        yield from _between(operands, _COMPARISONS, places)
    elif isinstance(node, ast.BoolOp):
        yield from _between(node.values, {"and": ("or",), "or": ("and",)}, places)
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        operands = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.target, node.value]
        yield from _between(operands, {name: (other,) for name, other in _OPERATORS.items()}, places)
        if isinstance(node, ast.AugAssign):
            yield *places.of(node), "pass"
    elif isinstance(node, ast.UnaryOp):
        begin, _ = places.of(node)
        yield begin, places.of(node.operand)[0], ""
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node, places)
    elif isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name in _NAMES:
            _, end = places.of(node)
            yield end - len(name), end, _NAMES[name]
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield from _negated([node.test], places)
    elif isinstance(node, ast.comprehension):
        yield from _negated(node.ifs, places)
    elif isinstance(node, ast.stmt):
        yield from _of_statement(node, places)


def _between(operands: list[ast.expr], others: dict[str, tuple[str, ...]], places: _Places) -> Iterator[Change]:
    for left, right in pairwise(operands):
        begin, end = places.of(left)[1], places.of(right)[0]
        words = re.search(r"not in|is not|[a-z]+|[-+*/%|&<>=!]+", places.source[begin:end])
        if words is None:
            continue
        assigned = words[0] not in others and words[0].endswith("=")
        for other in others.get(words[0].removesuffix("=") if assigned else words[0], ()):
            yield begin + words.start(), begin + words.end(), other + "=" * assigned


def _of_constant(node: ast.Constant, places: _Places) -> Iterator[Change]:
    begin, end = places.of(node)
    value = node.value
    if isinstance(value, bool):
        yield begin, end, str(not value)
    elif isinstance(value, int):
        yield begin, end, str(value + 1)
        yield begin, end, str(value - 1)
    elif isinstance(value, str) and not _is_pattern(places.source[begin:end]):
        yield begin, end, repr("" if value else "x")


def _negated(tests: Iterable[ast.expr], places: _Places) -> Iterator[Change]:
    for test in tests:
        begin, end = places.of(test)
        yield begin, end, f"not ({places.source[begin:end]})"


def _of_statement(node: ast.stmt, places: _Places) -> Iterator[Change]:
    begin, end = places.of(node)
    if isinstance(node, ast.Return) and places.source[begin:end] not in ("return", "return None", "return False"):
        yield begin, end, "return None"
    elif isinstance(node, (ast.Expr, ast.Raise)):
        yield begin, end, "pass"
    elif isinstance(node, ast.Continue):
        yield begin, end, "break"
    elif isinstance(node, ast.Break):
        yield begin, end, "continue"


def _is_pattern(literal: str) -> bool:
    return "r" in literal[: re.search("['\"]", literal).start()].lower()  # type: ignore[union-attr]


def _of_patterns(source: str, places: _Places) -> Iterator[Change]:
    """Yield changes within raw texts, which are patterns, and pieces of f-strings."""
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type != tokenize.STRING:
            continue
        is_formatted = "f" in token.string[:2].lower()
        if _is_pattern(token.string):
            begin = places.of_token(token.start)
            for first, last, text in _of_pattern(token.string, is_formatted):
                yield begin + first, begin + last, text
        elif is_formatted:
            yield places.of_token(token.start), places.of_token(token.end), '""'


def _of_pattern(text: str, is_formatted: bool) -> Iterator[Change]:
    opening, closing = (r"\{\{", r"\}\}") if is_formatted else (r"\{", r"\}")
    for found in re.finditer(rf"{opening}([0-9]+)(,?)([0-9]*){closing}", text):
        for group in (1, 3):
            if found[group]:
                yield *found.span(group), str(int(found[group]) + 1)
                if int(found[group]):
                    yield *found.span(group), str(int(found[group]) - 1)
    for found in re.finditer(r"(\\x[0-9a-f]{2}|[0-9A-Za-z])-(\\x[0-9a-f]{2}|[0-9A-Za-z])(?=[^\[]*\])", text):
        yield *found.span(1), _moved(found[1], 1)
        yield *found.span(2), _moved(found[2], -1)
    for found in re.finditer(r"(?<=[\])}a-z\\\"])([*+?])([+?]?)(?![^\[]*\])", text):
        if found[1] == "?" or text[found.start() - 1] not in "(\\":
            yield *found.span(), "" if found[1] == "?" else {"*": "+", "+": "*"}[found[1]] + found[2]
    yield from _without_alternatives(text)


def _moved(letter: str, by: int) -> str:
    if letter.startswith("\\x"):
        return f"\\x{(int(letter[2:], 16) + by) % 256:02x}"
    return chr(ord(letter) + by)


def _without_alternatives(text: str) -> Iterator[Change]:
    """Yield changes that take one alternative away, where a token holds all of it."""
    depth, in_class, escaped = 0, False, False
    begins = {0: len(text) - len(text.lstrip("rfRF\"'"))}
    has_bar = set[int]()
    ends = len(text.rstrip("\"'"))
    for at, letter in enumerate(text[:ends]):
        if escaped or letter == "\\":
            escaped = not escaped
            continue
        if in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
        elif letter == "(":
            depth += 1
            begins[depth] = at + (3 if text[at + 1 : at + 3] == "?:" else 1)
            has_bar.discard(depth)
        elif letter == "|" or (letter == ")" and depth in has_bar):
            if at > begins.get(depth, at):
                yield begins[depth], at, _NOTHING[1]
            begins[depth] = at + 1
            has_bar.add(depth)
        if letter == ")" and not in_class:
            depth -= 1
