"""What the documents say exists, exists."""

import re
from pathlib import Path

import pytest
import typer

from control.cli import build_app
from core.layout import CHECKOUT

DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("*/README.md")])
ROOTS = "|".join(path.name for path in CHECKOUT.iterdir() if path.is_dir() and not path.name.startswith("."))
# What a running platform makes, and so no checkout has.
MADE = ("data/", ".tieout/", ".env")


def commands() -> set[str]:
    group = typer.main.get_command(build_app())
    names = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        names.add(name)
        names |= {f"{name} {sub}" for sub in getattr(command, "commands", {})}
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_paths_in_a_document_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:\./)?(?:{ROOTS})/[\w./-]*)`", text)) | set(re.findall(r"\]\(([^)#:]+)\)", text))
    for name in named:
        if not name.removeprefix("./").startswith(MADE):
            candidates = (CHECKOUT / name, document.parent / name)
            assert any(path.exists() for path in candidates), f"{name} is named in {document.name} and does not exist"


def test_commands_in_the_documents_exist() -> None:
    known, seen = commands(), 0
    for document in DOCUMENTS:
        for line in re.findall(r"\./scripts/tieout ([a-z][a-z -]*)", document.read_text(encoding="utf-8")):
            words = line.split()
            seen += 1
            assert words[0] in known, f"{document.name}: ./scripts/tieout {line}"
    assert seen > 10


def test_scripts_in_the_documents_exist_and_can_be_run() -> None:
    named = {name for d in DOCUMENTS for name in re.findall(r"\./scripts/([\w.-]+)", d.read_text(encoding="utf-8"))}
    assert {"start.sh", "stop.sh", "tieout"} <= named
    for name in named:
        assert (CHECKOUT / "scripts" / name).stat().st_mode & 0o111, name


def test_the_runbook_quotes_what_the_programs_say() -> None:
    tables = re.findall(
        r"\| it says \|.*?\n\n", (CHECKOUT / "docs/runbook.md").read_text(encoding="utf-8") + "\n", re.S
    )
    quoted = [words for table in tables for words in re.findall(r"^\| `([^`]+)` \|", table, re.M)]
    assert len(quoted) > 15
    sources = [*CHECKOUT.glob("*/*/**/*.py"), *CHECKOUT.glob("scripts/*")]
    said = "\n".join(path.read_text(encoding="utf-8") for path in sources if "tests" not in path.parts)
    assert [words for words in quoted if words not in said] == []
