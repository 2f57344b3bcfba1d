"""Rules of the house that no linter knows."""

import re
import subprocess
from pathlib import Path

from core.layout import CHECKOUT


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [CHECKOUT / name for name in listed.stdout.split("\n") if name and (CHECKOUT / name).is_file()]
    assert files
    return files


def test_no_module_passes_the_wall_of_400_lines() -> None:
    long = {str(p): n for p in tracked("*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_dependency_files_hold_no_download_address() -> None:
    files = tracked("*requirements*.txt", "requirements/*", "*.lock", "*ivysettings*", "*/ivy.xml")
    assert len(files) > 5
    assert [str(p) for p in files if re.search(r"https?://", p.read_text())] == []


def test_every_requirement_is_pinned_with_hashes() -> None:
    for path in tracked("*/requirements.txt", "requirements/*.txt"):
        entries = [e for e in re.split(r"\n(?=[a-zA-Z0-9-])", path.read_text()) if not e.lstrip().startswith("#")]
        if entries == ["-r ../requirements/platform.txt\n"]:
            continue  # a component without an environment of its own
        assert entries, path
        assert all("==" in e and "--hash=sha256:" in e for e in entries if e.strip()), path


def test_money_is_never_a_float() -> None:
    pattern = re.compile(r"DoubleType|FloatType|double precision|float\([^)]*amount|amount[^\n]*\bfloat\b")
    guilty = [
        f"{path}: {line}"
        for path in tracked("*.py", "*.sql", "*.yml", "*.yaml")
        if path.name != Path(__file__).name
        for line in path.read_text().splitlines()
        if pattern.search(line)
    ]
    assert guilty == []


def test_nothing_hides_the_airflow_package() -> None:
    assert not (CHECKOUT / "airflow" / "__init__.py").exists()


def test_no_secret_is_in_the_tree() -> None:
    names = {path.name for path in tracked()}
    assert ".env" not in names
    assert "kaggle.json" not in names
