"""# From bronze to proven marts

Loads what the stream has put into the lake, builds the marts with dbt, and proves that the numbers tie out. **One**
task, `build`, builds all models. Every model of the dbt project is a task too: it shows how `build` got on with it.

| group | does |
|---|---|
| `load_silver` | is bronze there and fresh? load it; was the load silent although rows waited? |
| `build_staging_and_intermediate` | the build; the models before the marts |
| `build_marts` | the marts |
| `verify` | control totals, tests over whole marts, lineage site, publish the asset `gold`, verdict |

Where nothing is new, the models and what follows from them are skipped, and the books are proven again.

Where one entity cannot be loaded, `load` and `verdict` are red; the others are loaded, built and proven all the same.

**Retries**: an outage (exit code 75) is tried again, later each time; a data error is not: its reason is in the last
lines of the red task's log, and in `metadata.pipeline_incidents`.

**Run it again**: trigger it; everything is safe to repeat. To repeat a red build, clear the run's failed tasks.

**Form**: `from_date` and `to_date` are business days (`occurred_on`), merged and summed again in the same build.
Dimensions change only by `full_refresh`.

Lineage: {lineage_site} · states and what to do: docs/orchestration.md
"""

from datetime import timedelta

from airflow.sdk import DAG, TaskGroup
from orchestration.assets import bronze, gold, silver
from orchestration.defaults import DEFAULTS
from orchestration.models import connect, model_group
from orchestration.parameters import pipeline_form
from orchestration.settings import lineage_site, pipeline_schedule
from orchestration.steps import Build, CheckBronze, Load, Publish, Tieout, Verdict, WholeTests

BUILD = "build_staging_and_intermediate.build"
CHECK = "load_silver.bronze_is_fresh"
RUN = ("--run-id", "{{ run_id }}")

with DAG(
    "fintech_analytics_pipeline",
    description="Bronze to silver to proven marts",
    doc_md=__doc__.format(lineage_site=lineage_site()),
    schedule=pipeline_schedule(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULTS,
    params=pipeline_form(),
    tags=["payments", "bronze", "silver", "gold"],
) as dag:
    with TaskGroup("load_silver", tooltip="The lake's new rows into the warehouse"):
        check = CheckBronze(
            task_id="bronze_is_fresh",
            arguments=["check", "bronze", "--catch-up", "--some", "--json"],
            outlets=[bronze],
            doc_md="Refuses a wrong form, lets the stream bring what Kafka has now, then asks whether bronze is fresh.",
        )
        load = Load(
            task_id="load",
            arguments=["load", *RUN, "--json"],
            outlets=[silver],
            doc_md="The lake's new rows into silver; `metadata.load_audit.run_id` names this run. Red when an entity's "
            "load failed; the others were loaded, and are built and proven.",
        )
        loaded = Tieout(
            task_id="load_was_not_silent",
            arguments=["check", "loads", *RUN, "--json"],
            # One entity that cannot be loaded does not stop the others: its red task `load` is for the verdict.
            trigger_rule="all_done_min_one_success",
            doc_md="Red when a load of this run read nothing although the lake had rows for it.",
        )
        check >> load
        [check, load] >> loaded

    before = model_group("build_staging_and_intermediate", ("staging", "intermediate"), producer=BUILD)
    marts = model_group("build_marts", ("marts",), producer=BUILD)
    models = connect(before, marts)
    with before:
        build = Build(
            task_id="build",
            arguments=["build", *RUN, "--wait", "600", "--events", "--json"],
            doc_md="Builds all models and runs their tests; the models' tasks follow it. `metadata.builds.run_id`.",
        )
    loaded >> [build, *models.values()]

    with TaskGroup("verify", tooltip="Prove it, document it, publish it"):
        totals = Tieout(
            task_id="control_totals",
            arguments=["proof", *RUN, "--json"],
            trigger_rule="none_failed_min_one_success",
            doc_md="The equations of every hop; `metadata.proof.run_id` names this run.",
        )
        tests = WholeTests(task_id="dbt_tests", build=BUILD, doc_md="The tests that read whole marts, once in a while.")
        docs = Tieout(task_id="docs", arguments=["docs", "--json"], doc_md=f"The lineage site: {lineage_site()}")
        publish = Publish(
            task_id="publish",
            build=BUILD,
            bronze_check=CHECK,
            outlets=[gold],
            trigger_rule="none_failed",
            doc_md="The event of the asset `gold`: built, tested, proven.",
        )
        verdict = Verdict(
            task_id="verdict",
            trigger_rule="none_failed",
            doc_md="Red when a load or the proof failed, also in a run without news, which publishes nothing.",
        )
        [build, *models.values()] >> totals
        [build, *models.values()] >> tests
        [build, *models.values()] >> docs
        [load, totals, tests, docs] >> publish
        [load, totals] >> verdict

    build.skips = [task.task_id for task in (tests, docs, publish)]
