"""What the mutation run changes: every kind of place once, and nothing that is no behaviour."""

from pathlib import Path

import pytest
import yaml

from bench.mutations import mutations
from core.layout import CHECKOUT

EQUIVALENT = CHECKOUT / "benchmarks" / "equivalent_mutants.yaml"


def changed(source: str) -> set[str]:
    lines = [each.applied(source) for each in mutations(source)]
    for each in lines:
        compile(each, "mutant", "exec")
    return {line.strip() for each in lines for line in each.splitlines()} - {
        line.strip() for line in source.splitlines()
    }


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("a = b < 3", {"a = b <= 3", "a = b >= 3", "a = b < 4", "a = b < 2"}),
        ("a = b and not c", {"a = b or not c", "a = b and c"}),
        ("a = b in c", {"a = b not in c"}),
        ("a = b is not c", {"a = b is c"}),
        ("a += b - c", {"a -= b - c", "a += b + c", "pass"}),
        ("a = 'é' or b < c", {"a = '' or b < c", "a = 'é' and b < c", "a = 'é' or b <= c", "a = 'é' or b >= c"}),
        ("a = min(b)", {"a = max(b)"}),
        ("a = b.lstrip()", {"a = b.rstrip()"}),
        ("a = b if c else d", {"a = b if not (c) else d"}),
        ("a = [b for b in c if b]", {"a = [b for b in c if not (b)]"}),
        ("raise ValueError", {"pass"}),
        ("a: dict[str, int]", set()),
        ("import b", set()),
        ('a = f"{b}c"', {'a = ""'}),
        ('a = r"[b-d]{2}x?(?:e|f)"', {
            'a = r"[c-d]{2}x?(?:e|f)"', 'a = r"[b-c]{2}x?(?:e|f)"', 'a = r"[b-d]{3}x?(?:e|f)"',
            'a = r"[b-d]{1}x?(?:e|f)"', 'a = r"[b-d]{2}x(?:e|f)"', r'a = r"[b-d]{2}x?(?:[^\x00-\xff]|f)"',
            r'a = r"[b-d]{2}x?(?:e|[^\x00-\xff])"',
        }),
    ],
)  # fmt: skip
def test_a_line_becomes_others(line: str, becomes: set[str]) -> None:
    assert changed(line) == becomes


def test_docstrings_decorators_and_what_returns_nothing_stay() -> None:
    source = '@cache\ndef a(b: "c" = 1) -> "d":\n    """Doc."""\n    return False\n'
    assert changed(source) == {'def a(b: "c" = 2) -> "d":', 'def a(b: "c" = 0) -> "d":', "return True"}


def test_each_mutant_that_is_called_equivalent_exists_and_has_a_reason() -> None:
    found = set()
    for name in ("verdict.py", "judge.py"):
        source = Path(CHECKOUT / "contracts" / "contracts" / name).read_text(encoding="utf-8")
        found |= {(name, each.before, each.after) for each in mutations(source)}
    entries = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8"))
    assert entries
    for entry in entries:
        assert {(entry["file"], entry["before"], after) for after in entry["after"]} <= found, entry
        assert len(entry["why"]) > 20
