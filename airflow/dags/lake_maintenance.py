"""# Keep the lake and the books small, and prove everything from the lake up

Once a week: merge small files and remove what nobody reads any more (bronze itself never expires), forget dead letters
and audit rows that are older than their retention (their totals stay in `metadata.retention_floor`), run the tests that
read whole marts, and prove the books in full.

The stream keeps the lake's writer lock and compacts between its batches; `maintain` leaves it that part then.
A red `full_proof` names the equation and its scope: docs/runbook.md.
"""

from datetime import timedelta

from airflow.sdk import DAG
from orchestration.defaults import DEFAULTS
from orchestration.steps import Tieout, WholeTests

with DAG(
    "lake_maintenance",
    description="Compaction, retention, full tests, full proof",
    doc_md=__doc__,
    schedule="30 3 * * 0",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    default_args=DEFAULTS,
    tags=["payments", "bronze", "maintenance"],
) as dag:
    maintain = Tieout(task_id="maintain", arguments=["maintain", "--json"], doc_md="Compaction, expiry and retention.")
    tests = WholeTests(task_id="dbt_tests", doc_md="Tests over whole marts.")
    proof = Tieout(
        task_id="full_proof",
        arguments=["proof", "--full", "--run-id", "{{ run_id }}", "--json"],
        trigger_rule="all_done",
        doc_md="Every equation, recomputed from the lake up.",
    )
    maintain >> tests >> proof
