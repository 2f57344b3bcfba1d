"""`tieout start`: from a set-up folder to a platform with proven payments, and where to look."""

import time
from collections.abc import Mapping
from functools import partial

from control import airflow, supervision
from control.bring_up import Platform, bring_up_base, prepare
from control.catching_up import stream_is_ready
from control.first_load import produce_first_load, run_first_load
from control.java import require_java
from control.loop import airflow_is_wanted, let_dags_run, prepare_loop, start_airflow, wait_for_airflow
from control.say import columns, say, step
from control.services import DEMO, JOBS, loop_services
from core.errors import TieoutError
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
        bring_up_base(platform)
        if jobs:
            _start_jobs(platform, demo=demo)
    say(f"ready after {time.monotonic() - begun:.0f} s; everything listens on 127.0.0.1 only")
    show_addresses(layout, platform.settings)


def _start_jobs(platform: Platform, *, demo: bool) -> None:
    preparation = prepare_loop(platform) if airflow_is_wanted(platform) else None
    # Payments first: the stream's first batch then has them, instead of the one a trigger later.
    plan = produce_first_load(platform) if demo else None
    for name in ("lineage", "live"):  # the live view is to see the first payments arrive
        supervision.start_service(platform.layout, platform.services[name])
    if preparation:  # Airflow takes its time: it comes up beside the stream and the first load
        preparation.finish()
        start_airflow(platform)
    _start(platform, "stream")
    if plan:
        run_first_load(platform, plan)
    repeating = [name for name in loop_services(platform.settings) if name not in airflow.NAMES]
    for name in (*JOBS, *repeating, *DEMO):
        if not demo and name not in JOBS:
            supervision.stop_service(platform.layout, platform.services[name])
        else:
            _start(platform, name)
    if preparation:
        wait_for_airflow(platform)
        let_dags_run(platform, demo=demo)


def _start(platform: Platform, name: str) -> None:
    if supervision.process_states(platform.layout).get(name, {}).get("statename") in {"RUNNING", "STARTING"}:
        return
    with step(name):
        supervision.start_service(platform.layout, platform.services[name], wait=True)
        if name == "stream":
            _wait_for_stream(platform)


def _wait_for_stream(platform: Platform, seconds: float = 600) -> None:
    """Return when the stream's query runs; for the supervisor it runs from its first second on."""
    deadline = time.monotonic() + seconds
    while True:
        info = supervision.process_states(platform.layout).get("stream", {})
        if stream_is_ready(platform.layout, info.get("pid")):
            return
        if info.get("statename") == "EXITED":  # its refusal is not tried again by itself
            raise TieoutError(
                "stream waits for your decision: it refuses to go on by itself.",
                "broker and database run; the lake is as it was.",
                "./scripts/tieout logs stream, which names the choices; then ./scripts/start.sh",
            )
        if info.get("statename") == "FATAL" or time.monotonic() > deadline:
            raise TieoutError(
                f"stream is not ready after {seconds:.0f} s: its query has not begun.",
                "broker and database run.",
                "./scripts/tieout logs stream, or ./scripts/tieout doctor",
            )
        time.sleep(0.3)


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
        ("lake", str(layout.data), ""),
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
