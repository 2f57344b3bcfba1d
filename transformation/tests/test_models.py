"""dbt's own unit tests, the rounding of fees against Python's, and the documentation's site."""

import os
import random
import subprocess
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.services


def dbt(marts: Any, project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    layout = marts.layout
    command = [str(layout.environments / "dbt" / "bin" / "dbt"), "--no-use-colors", "--log-path", str(layout.logs)]
    options = [
        "--project-dir",
        str(project),
        "--profiles-dir",
        str(project),
        "--target-path",
        str(layout.state / "by-hand"),
    ]
    return subprocess.run(
        [*command, *args, *options], capture_output=True, text=True, check=False, env={**os.environ, **marts.env}
    )


def test_every_date_window_and_status_rule_holds(marts: Any, project: Path) -> None:
    marts.build()
    ran = dbt(marts, project, "test", "--select", "test_type:unit")
    assert ran.returncode == 0, ran.stdout
    passed = ran.stdout.count("[PASS")
    assert passed >= 17, ran.stdout


def test_full_tests_by_hand_read_everything_and_pass(marts: Any, payment: Any, project: Path) -> None:
    marts.load([payment("a"), payment("b", "PENDING", currency="JPY", amount="5")])
    marts.build()
    ran = dbt(marts, project, "test", "--exclude", "test_type:unit")
    assert ran.returncode == 0, ran.stdout
    assert "equals_fact_by_day" in ran.stdout


def test_a_build_by_hand_is_refused_and_names_the_command(marts: Any, project: Path) -> None:
    marts.build()
    ran = dbt(marts, project, "build")
    assert ran.returncode != 0
    assert "./scripts/tieout build" in ran.stdout
    assert len(marts.sql("select 1 from metadata.builds")) == 1


def test_the_documentation_is_one_file(marts: Any, project: Path) -> None:
    marts.build()
    ran = dbt(marts, project, "docs", "generate", "--static")
    assert ran.returncode == 0, ran.stdout
    site = marts.layout.state / "by-hand" / "static_index.html"
    assert "Grain: one row a transaction" in site.read_text(encoding="utf-8")


def test_fees_round_as_pythons_decimal_does_half_even(marts: Any, project: Path) -> None:
    macro = (project / "macros" / "round_half_even.sql").read_text(encoding="utf-8")
    body = macro.split("-%}", 1)[1].split("{%- endmacro", 1)[0]
    expression = body.replace("{{ value }}", "value").replace("{{ digits }}", "digits")
    assert "{" not in expression
    rng = random.Random(7)
    cases = [
        (Decimal(text), digits) for text in ("0.5", "1.5", "2.5", "0.005", "0.015", "-0.125", "0") for digits in (0, 2)
    ]
    cases += [
        (Decimal(rng.randrange(-(10**15), 10**15) * 5).scaleb(-rng.randrange(0, 9)), rng.choice([0, 2, 3]))
        for _ in range(3000)
    ]
    values = ", ".join(f"({n}, {value:f}::numeric, {digits})" for n, (value, digits) in enumerate(cases))
    rows = marts.sql(f"select n, {expression} as rounded from (values {values}) as v (n, value, digits) order by n")
    assert len(rows) == len(cases)
    ties = 0
    for (value, digits), row in zip(cases, rows, strict=True):
        assert row["rounded"] == value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN), (value, digits)
        ties += abs(value - int(value * 10**digits) / Decimal(10**digits)) * 2 == Decimal(1).scaleb(-digits)
    assert ties > 100
