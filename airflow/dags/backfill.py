"""# Read a range again

Give business days (`from_date`, `to_date`) or Kafka offsets (`offsets`, as in `0:1200-1300`). The range is read again
from bronze into silver, where rows that are there already are counted and not written twice, and its days are computed
again in the marts. Safe to repeat; the log has a line a day.

A backfill that broke goes on where it stopped: clear the red task, or trigger again with the same range. It waits for a
build that runs. Dimensions change only by a full refresh: the pipeline's form.
"""

from datetime import timedelta

from airflow.sdk import DAG
from orchestration.assets import gold
from orchestration.defaults import DEFAULTS
from orchestration.parameters import backfill_form
from orchestration.steps import Backfill, PublishBackfill, Tieout

with DAG(
    "backfill",
    description="Days or Kafka offsets into silver and marts once more",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=24),
    default_args=DEFAULTS,
    params=backfill_form(),
    tags=["payments", "silver", "gold"],
) as dag:
    reread = Backfill(
        task_id="read_again",
        arguments=["backfill", "--run-id", "{{ run_id }}", "--json"],
        doc_md="A line a day; what is done is never done twice.",
    )
    prove = Tieout(
        task_id="control_totals",
        arguments=["proof", "--run-id", "{{ run_id }}", "--json"],
        doc_md="The books, with what was read again.",
    )
    publish = PublishBackfill(
        task_id="publish",
        backfill="read_again",
        outlets=[gold],
        doc_md="The event of the asset `gold`: read again, built and proven.",
    )
    reread >> prove >> publish
