"""`tieout start`: from a set-up folder to a platform with proven payments, and where to look."""

import time
from collections.abc import Mapping
from functools import partial

from control import airflow, supervision
from control.bring_up import bring_up_base, prepare
from control.env import lake_of
from control.first_load import produce_first_load, run_first_load
from control.java import require_java
from control.loop import airflow_is_wanted, let_dags_run, prepare_loop, wait_for_airflow
from control.say import columns, say, step
from control.services import DEMO, Platform, loop_services
from control.starting import start_services, wait_until_ready
from core.layout import Layout
from core.locks import exclusive

SAMPLE = (
    "select occurred_on, currency, success_count, success_amount "
    "from marts.daily_revenue_summary order by occurred_on desc, currency limit 5"
)
# Behind the door that the address with the token opens.
DASHBOARD_PAGES = {
    "business": "fees, volume, failures",
    "live": "the flow this second",
    "alerts": "what the rules have found, with evidence",
    "customer": "one customer's latest payments",
    "books": "do the numbers tie out",
    "connect": "for other tools",
}


def start_platform(layout: Layout, *, demo: bool, jobs: bool = True) -> None:
    """Start what does not run yet, load the first payments, and print URLs. Safe to repeat, and two at once.

    Args:
        demo: load 20,000 payments the first time, keep a continuous producer and let the loop repeat; False stops
            such a producer, and nothing repeats by itself.
        jobs: False starts broker and database only.

    Raises:
        TieoutError: a part is missing or does not become ready; the parts that run go on running.
    """
    require_java()
    begun = time.monotonic()
    layout.state.mkdir(parents=True, exist_ok=True)
    with exclusive(layout.state / "start.lock", partial(say, "waiting for another start or stop")):
        platform = prepare(layout)
        platform = bring_up_base(platform)
        if jobs:
            platform = _start_jobs(platform, demo=demo)
    say(f"ready after {time.monotonic() - begun:.0f} s; everything listens on 127.0.0.1 only")
    show_addresses(layout, platform.settings)


def _start_jobs(platform: Platform, *, demo: bool) -> Platform:
    preparation = prepare_loop(platform) if airflow_is_wanted(platform) else None
    # Payments first: the stream's first batch then has them, instead of the one a trigger later.
    plan = produce_first_load(platform) if demo else None
    # The live view is to see the first payments arrive; pages come up beside the stream.
    platform = start_services(platform, ["live", "lineage", "dashboard"])
    if preparation:  # Airflow takes its time: it comes up beside the stream and the first load
        preparation.finish()
        platform = start_services(platform, airflow.NAMES)
    platform = start_services(platform, ["stream"])
    with step("stream"):
        platform = wait_until_ready(platform, ["stream"])
    if plan:
        run_first_load(platform, plan)
    repeating = [name for name in loop_services(platform.settings) if name not in airflow.NAMES]
    if demo:
        platform = start_services(platform, [*repeating, *DEMO])
    else:
        for name in (*repeating, *DEMO):
            supervision.stop_service(platform.layout, platform.services[name])
    if preparation:
        platform = wait_until_ready(platform, airflow.NAMES)  # before a password is shown to whoever listens there
        wait_for_airflow(platform)
        let_dags_run(platform, demo=demo)
    wanted = [name for name in platform.services if demo or name not in {*repeating, *DEMO}]
    with step("every service answers"):
        return wait_until_ready(platform, wanted)


def show_addresses(layout: Layout, settings: Mapping[str, str]) -> None:
    """Print where everything is, and a query to paste."""
    rows = [
        ("what", "where", "log in as"),
        ("broker", settings["KAFKA_BOOTSTRAP"], "SCRAM users in .env"),
        (
            "warehouse",
            f"postgresql://{settings['POSTGRES_HOST']}:{settings['POSTGRES_PORT']}/{settings['POSTGRES_DB']}",
            "reader, POSTGRES_PASSWORD_READER in .env",
        ),
        ("stream", f"http://127.0.0.1:{settings['SPARK_UI_PORT']}", ""),
        *_airflow_address(layout, settings),
        ("lineage", f"http://127.0.0.1:{settings['DOCS_PORT']}", ""),
        (
            "dashboard",
            f"http://127.0.0.1:{settings['DASHBOARD_PORT']}/?token={settings['DASHBOARD_TOKEN']}",
            "with this address",
        ),
        *_dashboard_pages(settings),
        ("lake", lake_of(layout, settings).url, ""),
    ]
    say(columns(rows))
    say(f'try: ./scripts/tieout sql "{SAMPLE}"')


def _dashboard_pages(settings: Mapping[str, str]) -> list[tuple[str, str, str]]:
    base = f"http://127.0.0.1:{settings['DASHBOARD_PORT']}"
    return [(f"- {page}", f"{base}/{page}", about) for page, about in DASHBOARD_PAGES.items()]


def _airflow_address(layout: Layout, settings: Mapping[str, str]) -> list[tuple[str, str, str]]:
    if airflow.API not in loop_services(settings):
        return []
    return [("airflow", airflow.url(settings), f"admin or viewer, passwords in {airflow.passwords_file(layout)}")]
