"""A contract or a sample that is wrong is named with file, line and repair."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest

import warehouse
from contracts import entities
from contracts.entities import ContractError, load_entities, load_entity
from contracts.names import OWN_COLUMNS, OWN_FOLDERS, OWN_TABLES
from contracts.problems import find_problems
from contracts.render.postgres import render
from core.layout import CHECKOUT, Layout
from spark_streaming.columns import bronze_schema, dead_letter_schema
from warehouse.columns import event_columns

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
    "a name that is not the folder's": (CONTRACT, "  - name: refunds", "  - name: returns", "the folder is refunds"),
    "a name that no table can have": (CONTRACT, "  - name: refunds", "  - name: Re-funds", "cannot name a table"),
    "a table that PostgreSQL would cut short": (
        CONTRACT, "daily_refund_totals", "d" * 52, "52 bytes, and 51 are the most"),
    "an index that PostgreSQL would cut short": (
        CONTRACT, "indexes: [transaction_id]", f"indexes: [{'i' * 56}]", "64 bytes"),
    "a table in capitals": (CONTRACT, "daily_refund_totals", "Daily", "model Daily is no name"),
    "a model of the platform": (CONTRACT, "daily_refund_totals", "dim_cities", "dim_cities is there already"),
    "a table of the platform": (
        CONTRACT, "{daily:", "{duplicates: dead_letters, daily:", "raw.dead_letters is the platform's"),
    "a folder of the lake": (
        CONTRACT, "{daily:", "{deadLetters: checkpoints, daily:", "checkpoints is the platform's own"),
    "a topic with a blank": (
        CONTRACT, "physicalName: refunds", "physicalName: the refunds", "topic the refunds is no name"),
    "a topic that Kafka cannot keep": (CONTRACT, "physicalName: refunds", f"physicalName: {'r' * 250}", "250 bytes"),
    "Kafka's own topic": (CONTRACT, "physicalName: refunds", "physicalName: __consumer_offsets", "the platform's own"),
    "the topic of control totals": (
        CONTRACT, "physicalName: refunds", "physicalName: transactions_control", "the platform's own"),
    "a topic that differs in a point": (
        CONTRACT, "physicalName: refunds", "physicalName: transactions_alerts", "is a name of transactions too"),
    "a column of the platform": (
        CONTRACT, "name: reason\n", "name: partition\n", "column partition, which is the platform's"),
    "a column that is a word of SQL": (CONTRACT, "name: reason\n", "name: order\n", "cannot be the column order"),
    "two fields of one column": (CONTRACT, "name: reason\n", "name: amount\n", "would be one column, amount"),
    "a code that is no condition's name": (
        CONTRACT, "name: REASON_UNKNOWN", "name: reason-unknown", "is no reason code"),
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


def test_a_copied_folder_is_one_problem_of_the_copy(folder: Path) -> None:
    copytree(folder / "refunds", folder / "chargebacks")
    (problem,) = find_problems()
    assert problem.file == folder / "chargebacks" / CONTRACT
    assert "the folder is chargebacks, and the event's name is refunds" in problem.what


def test_the_line_of_a_name_is_where_it_is_stated(folder: Path) -> None:
    file = folder / "refunds" / CONTRACT
    change(file, "daily_refund_totals", "daily_revenue_totals")
    problems = find_problems()
    assert problems
    assert all("daily_revenue_totals" in file.read_text().splitlines()[problem.line - 1] for problem in problems)
    change(file, "daily_revenue_totals", "daily_refund_totals")
    assert find_problems() == []


def test_no_folder_or_table_that_the_platform_makes_is_forgotten() -> None:
    migrations = Path(warehouse.__file__).parent / "migrations" / "versions"
    text = "".join(file.read_text() for file in migrations.glob("*.py"))
    made = set(re.findall(r"create table (raw\.\w+)", text))
    ours = {table for entity in load_entities() for table in (entity.silver, entity.rejected, entity.duplicates)}
    assert {"raw.transactions", "raw.dead_letters"} <= made
    assert made - ours == OWN_TABLES
    layout = Layout(CHECKOUT, CHECKOUT)
    folders = [layout.batch_files, layout.batches, layout.cleaned_batches, layout.checkpoints, layout.docs_site]
    folders += [layout.samples, layout.undelivered]
    assert {folder.name for folder in folders} == OWN_FOLDERS


def test_no_column_that_the_platform_adds_is_forgotten() -> None:
    for entity in load_entities():
        fields = {field.stored_as for field in entity.fields}
        added = {*bronze_schema(entity).names, *dead_letter_schema().names, *event_columns(entity)} - fields
        assert added <= OWN_COLUMNS
        made = re.findall(r"^    \"?(\w+)\"? ", render(entity), re.MULTILINE)
        assert set(made) - fields - {"constraint", "primary"} <= OWN_COLUMNS


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
