"""`tieout docs`: the lineage site, one page that dbt makes of the project and the catalogue."""

import json
import os
import subprocess
import time
from typing import Annotated, Any

import typer

from control.build_dbt import PASSED_ON, without_rows
from control.build_steps import connect_books
from core.errors import TieoutError
from core.files import write_file
from core.layout import Layout, find_layout

PATIENCE_SECONDS = 600


def mount(app: typer.Typer) -> None:
    """Register `docs`."""
    app.command()(docs)


def docs(as_json: Annotated[bool, typer.Option("--json", help="Print where it is as JSON.")] = False) -> None:
    """Write the lineage site: every model, column, test and dashboard, with what each means.

    It holds names and descriptions, and no row.

    Example: ./scripts/tieout docs
    """
    done = write_site(find_layout())
    typer.echo(json.dumps(done) if as_json else f"{done['page']}  {done['seconds']:.1f} s")


def write_site(layout: Layout) -> dict[str, Any]:
    """Generate the site and put it in place in one move: a reader sees the old page or the new one.

    Raises:
        TieoutError: dbt failed; the page before stays.
    """
    from control.build import dbt_connection

    begun = time.monotonic()
    connection = dbt_connection(layout)
    with connect_books():
        pass  # an outage is told as one, before dbt wraps it in words
    project, target = layout.checkout / "transformation", layout.state / "dbt-docs"
    logs = layout.logs / "dbt"
    done = subprocess.run(
        [
            *(str(layout.environments / "dbt" / "bin" / "dbt"), "--log-path", str(logs), "--no-use-colors"),
            *("docs", "generate", "--static", "--project-dir", str(project), "--profiles-dir", str(project)),
            *("--target-path", str(target)),
        ],
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ} | connection | {"DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    made = target / "static_index.html"
    if done.returncode != 0 or not made.exists():
        raise TieoutError(
            f"dbt docs failed: {without_rows(done.stdout + done.stderr) or f'exit code {done.returncode}'}",
            "the page that was there before stays.",
            "./scripts/tieout logs dbt",
        )
    layout.docs_site.mkdir(parents=True, exist_ok=True)
    page = layout.docs_site / "index.html"
    write_file(page, made.read_bytes())
    return {"page": str(page), "bytes": page.stat().st_size, "seconds": round(time.monotonic() - begun, 3)}
