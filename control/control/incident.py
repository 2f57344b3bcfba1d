"""`tieout incident`: a task that failed for good goes into the books, and to the webhook where one is set."""

import json
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer

from control.progress import say
from core.settings import load_settings
from transformation.connection import connect_as_dbt
from transformation.messages import without_rows

LONGEST = 2000
PATIENCE_SECONDS = 10


def mount(app: typer.Typer) -> None:
    """Register `incident`."""
    app.command()(incident)


def incident(  # noqa: PLR0917  (a command's options are its interface)
    dag: Annotated[str, typer.Option("--dag", help="Whose task failed.")],
    task: Annotated[str, typer.Option("--task", help="The task.")],
    run_id: Annotated[str, typer.Option("--run-id", metavar="RUN", help="The run.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; lines that quote rows are left out.")],
    try_number: Annotated[int, typer.Option("--try", min=1, max=1_000_000, help="Which try it was.")] = 1,
    log_url: Annotated[str | None, typer.Option("--log-url", help="Where the log is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the incident as JSON.")] = False,
) -> None:
    """Write an incident to metadata.pipeline_incidents, and post it to INCIDENT_WEBHOOK_URL.

    A webhook that does not answer is said, and is no error: the incident is in the books.

    Example: ./scripts/tieout incident --dag pipeline --task load --run-id nightly --try 2 --reason "kafka is away"
    """
    found = {"dag_id": dag, "task_id": task, "run_id": run_id, "try_number": try_number, "log_url": log_url}
    found["reason"] = (without_rows(reason) or "no reason was given")[:LONGEST]
    report = write_incident(found, load_settings().incident_webhook_url)
    typer.echo(json.dumps(report) if as_json else f"incident {report['incident_id']}")


def write_incident(found: dict[str, Any], webhook: str) -> dict[str, Any]:
    """Write an incident once, tell the webhook, and return both as they stand.

    Raises:
        DatabaseAwayError: it could not be written; the webhook was told all the same.
    """
    from core.errors import OutageError

    try:
        with connect_as_dbt() as db:
            row = db.execute(
                """
                insert into metadata.pipeline_incidents (dag_id, task_id, run_id, try_number, reason, log_url)
                values (%(dag_id)s, %(task_id)s, %(run_id)s, %(try_number)s, %(reason)s, %(log_url)s)
                on conflict (dag_id, task_id, run_id, try_number) do update set reason = excluded.reason
                returning incident_id, at, sent_at
                """,
                found,
            ).fetchone()
            assert row is not None  # noqa: S101  # a row is inserted or updated
            report = {"incident_id": str(row[0]), "at": row[1].isoformat(), **found, "sent": row[2] is not None}
            if webhook and row[2] is None and _post(webhook, report):
                db.execute(
                    "update metadata.pipeline_incidents set sent_at = clock_timestamp() where incident_id = %s",
                    (row[0],),
                )
                report["sent"] = True
            return report
    except OutageError:
        if webhook:
            _post(webhook, {"incident_id": None, **found})
        raise


def _post(webhook: str, report: dict[str, Any]) -> bool:
    if not webhook.startswith(("http://", "https://")):
        say("  INCIDENT_WEBHOOK_URL is no http address: nobody was told")
        return False
    request = urllib.request.Request(  # noqa: S310  (http or https, see above)
        webhook, json.dumps(report).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError, ValueError) as error:
        say(f"  the webhook does not answer ({error}): the incident stands in metadata.pipeline_incidents only")
        return False
