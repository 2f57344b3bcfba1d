"""A contract or a sample that is wrong is named with file, line and repair."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest

from contracts import entities
from contracts.entities import ContractError, find_problems, load_entity

CONTRACT, SAMPLES = "contract.odcs.yaml", "samples.yaml"
Edit = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the entities' folder, which the package reads instead of its own."""
    copy = tmp_path / "entities"
    copytree(entities.FOLDER, copy)
    monkeypatch.setattr(entities, "FOLDER", copy)
    for cached in (entities.load_entity, entities.load_entities):
        cached.cache_clear()
    yield copy
    for cached in (entities.load_entity, entities.load_entities):
        cached.cache_clear()


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) >= 1, old
    file.write_text(text.replace(old, new, 1))


WRONG: dict[str, tuple[str, str, str, str]] = {
    "no YAML": (CONTRACT, "schema:\n", "schema: [\n", "it is no YAML"),
    "a rule engine that nobody runs": (CONTRACT, "engine: tieout", "engine: soda", "rule engine soda"),
    "a type that nobody judges": (CONTRACT, "logicalType: string", "logicalType: date", "type date"),
    "no identity": (CONTRACT, "- property: identity", "- property: identities", "identity is missing"),
    "an identity of unknown fields": (CONTRACT, "[refund_id, transaction_id", "[refund_id, payment_id", "payment_id"),
    "the key outside the identity": (CONTRACT, "[refund_id, transaction_id", "[transaction_id", "not in the identity"),
    "a status that is never reached": (CONTRACT, "final: [SUCCESS, FAILED]", "final: [SUCCESS]", "first and final"),
    "a currency that the platform lacks": (CONTRACT, "JPY, KWD]", "JPY, KWD, CHF]", "currencies"),
    "a structural field that may be absent": (
        CONTRACT, "{property: structural, value: true}, ", "", "timestamp may be absent"),
    "two rules of one code": (CONTRACT, "REASON_UNKNOWN", "STATUS_UNKNOWN", "two rules have the code"),
    "a rule without a sample": (SAMPLES, "  REASON_UNKNOWN: [", "  # [", "no sample breaks the rule REASON_UNKNOWN"),
    "a sample without a rule": (SAMPLES, "  REASON_UNKNOWN:", "  REASON_BAD:", "no sample breaks the rule"),
    "a sample that breaks nothing": (SAMPLES, "[{reason: null}", "[{reason: FRAUD}", "breaks nothing"),
    "a sample that breaks another rule": (SAMPLES, "[{reason: null}", "[{currency: XXX}", "breaks CURRENCY_UNKNOWN"),
    "a sound sample that is none": (SAMPLES, 'amount: "50.00"', 'amount: "-50.00"', "the sound sample breaks"),
    "another entity's topic": (CONTRACT, "physicalName: refunds", "physicalName: transactions", "topic transactions"),
    "another entity's table": (CONTRACT, "daily_refund_totals", "daily_revenue_totals", "daily_revenue_totals"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_file_line_and_repair(folder: Path, name: str) -> None:
    file, old, new, said = WRONG[name]
    change(folder / "refunds" / file, old, new)
    problems = find_problems()
    assert problems
    assert any(said in problem.what for problem in problems), [str(problem) for problem in problems]
    assert all(problem.repair and problem.line >= 1 for problem in problems)
    assert all(problem.file.parent == folder / "refunds" for problem in problems)


def test_the_line_is_the_one_of_the_mistake(folder: Path) -> None:
    file = folder / "refunds" / CONTRACT
    lines = file.read_text().splitlines()
    change(file, "engine: tieout", "engine: soda")
    assert find_problems()[0].line == lines.index("            engine: tieout") + 1


@pytest.mark.parametrize("text", ["", "[]", "a: [", "version: 1.0.0\nschema: 5\n"])
def test_a_contract_that_cannot_be_read_stops_with_words(folder: Path, text: str) -> None:
    (folder / "refunds" / CONTRACT).write_text(text)
    with pytest.raises(ContractError, match=r"refunds/contract\.odcs\.yaml:\d+: .*Repair: "):
        load_entity("refunds")
