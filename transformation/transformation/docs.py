"""`tieout docs`: the lineage site, one page that dbt makes of the project and the catalogue."""

import os
import subprocess
import time
from typing import Any

from core.errors import TieoutError
from core.files import write_file
from core.layout import Layout
from transformation.connection import connect_as_dbt, dbt_environment
from transformation.dbt_process import dbt_program, environment, folders
from transformation.messages import without_rows

PATIENCE_SECONDS = 600


def write_site(layout: Layout) -> dict[str, Any]:
    """Generate the site and put it in place in one move: a reader sees the old page or the new one.

    Raises:
        TieoutError: dbt failed; the page before stays.
    """
    begun = time.monotonic()
    connection = dbt_environment(layout)
    with connect_as_dbt():
        pass  # an outage is told as one, before dbt wraps it in words
    target = layout.state / "dbt-docs"
    done = subprocess.run(
        [
            *(dbt_program(layout), "docs", "generate", "--static", "--no-use-colors"),
            *folders(layout, target, layout.logs / "dbt"),
        ],
        env=environment(os.environ) | connection,
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
