"""A task that failed for good writes an incident, and tells the webhook when one is set."""

import logging
from collections.abc import Mapping
from typing import Any

from orchestration.commands import run_tieout

REASON_LENGTH = 800

log = logging.getLogger(__name__)


def report_incident(context: Mapping[str, Any]) -> None:
    """Run `tieout incident` for a failed task; an incident that cannot be written must not hide the failure itself."""
    instance = context["ti"]
    reason = str(context.get("exception") or "the task ended without a word: killed, or its heartbeat stayed out")
    arguments = [
        *("incident", "--dag", instance.dag_id, "--task", instance.task_id, "--run-id", instance.run_id),
        *("--try", str(instance.try_number), "--reason", reason[:REASON_LENGTH]),
    ]
    if getattr(instance, "log_url", None):
        arguments += ["--log-url", str(instance.log_url)]
    try:
        run_tieout(arguments)
    except Exception as error:
        log.warning("the incident was not written: %s", error)
