"""# A day's batch into the books, and on to proven marts

Takes `data/raw/YYYY/MM/DD/transactions.csv` of the day before, cleans it into
`data/processed/YYYY/MM/DD/cleaned_transactions.parquet`, sends it as a feed of its own, and brings it through lake,
silver and marts to the proof. The same file again is not sent again.

**A missing day** makes its run red, with the file's path; the days after it are not held up. When the file has come,
clear the red task.

**Off until you switch it on**: nobody else can know whether files come. **Days of before**: Backfill, with their range.
Each day is a run of its own, one after the other.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable
from orchestration.assets import gold
from orchestration.defaults import DEFAULTS
from orchestration.steps import PublishBatch, Tieout

DAY = "{{ data_interval_start | ds }}"
RUN = ("--run-id", "{{ run_id }}")

with DAG(
    "daily_batch",
    description="A day's file into the books and proven marts",
    doc_md=__doc__,
    # A run's interval is the day whose file it takes: that is what a backfill of days asks for.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2000, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULTS,
    tags=["payments", "batch", "gold"],
) as dag:
    send = Tieout(
        task_id="send",
        arguments=["batch", "run", "--date", DAY, "--send-only", "--json"],
        doc_md="Cleans the day's file, and sends it with its own count and sum as the control total.",
    )
    arrive = Tieout(
        task_id="bring_to_bronze",
        arguments=["check", "bronze", "--catch-up", "--json"],
        doc_md="Lets the stream bring what Kafka has now.",
    )
    load = Tieout(task_id="load", arguments=["load", *RUN, "--json"], doc_md="The lake's new rows into silver.")
    build = Tieout(
        task_id="build", arguments=["build", *RUN, "--wait", "600", "--json"], doc_md="The marts, with their tests."
    )
    prove = Tieout(
        task_id="control_totals", arguments=["proof", *RUN, "--json"], doc_md="The books, with the day's file in them."
    )
    publish = PublishBatch(task_id="publish", build="build", outlets=[gold], doc_md="The event of the asset `gold`.")
    send >> arrive >> load >> build >> prove >> publish
