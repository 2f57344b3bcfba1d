"""`tieout start`: from a set-up folder to a platform with proven payments, and where to look."""

import time
from collections.abc import Sequence
from functools import partial

from contracts.problems import require_sound_contracts
from control import supervision
from control.backup.unfinished import refuse_half_restored
from control.bring_up import bring_up_base, prepare, provision_services
from control.env import lake_of
from control.evolve import record_first_contracts
from control.first_load import produce_first_load, run_first_load
from control.java import require_java
from control.loop import prepare_loop, unpause_dags, wait_for_airflow
from control.processes import Platform
from control.profiles import choose_profiles
from control.progress import columns, say, step
from control.service import Group
from control.starting import start_services, wait_until_ready
from core.layout import Layout
from core.locks import exclusive

SAMPLE = (
    "select occurred_on, currency, success_count, success_amount "
    "from marts.daily_revenue_summary order by occurred_on desc, currency limit 5"
)


def start_platform(
    layout: Layout, *, demo: bool, jobs: bool = True, wanted: Sequence[str] = (), unwanted: Sequence[str] = ()
) -> None:
    """Start what does not run yet, load the first payments, and print URLs. Safe to repeat, and two at once.

    Args:
        demo: load 20,000 payments the first time, keep a continuous producer and let the loop repeat; False stops
            such a producer, and nothing repeats by itself.
        jobs: False starts broker and database only.
        wanted: profiles that this home is to have from now on.
        unwanted: profiles that it is to have no more.

    Raises:
        TieoutError: a part is missing or does not become ready; the parts that run go on running.
    """
    require_java()
    require_sound_contracts()
    refuse_half_restored(layout)
    begun = time.monotonic()
    layout.state.mkdir(parents=True, exist_ok=True)
    with exclusive(layout.state / "start.lock", partial(say, "waiting for another start or stop")):
        choose_profiles(layout, wanted, unwanted)
        platform = prepare(layout)
        record_first_contracts(layout)
        platform = bring_up_base(platform)
        if jobs:
            platform = _start_jobs(platform, demo=demo)
    say(f"ready after {time.monotonic() - begun:.0f} s; everything listens on 127.0.0.1 only")
    show_addresses(platform)


def _start_jobs(platform: Platform, *, demo: bool) -> Platform:
    airflow = platform.names(Group.AIRFLOW)
    preparation = prepare_loop(platform) if airflow else None
    # Payments first: the stream's first batch then has them, instead of the one a trigger later.
    plan = produce_first_load(platform) if demo else None
    # The live view is to see the first payments arrive; pages come up beside the stream.
    platform = start_services(platform, [name for name in platform.names(Group.JOBS) if name != "stream"])
    if preparation:  # Airflow takes its time: it comes up beside the stream and the first load
        preparation.finish()
        platform = start_services(platform, airflow)
    platform = start_services(platform, ["stream"])
    with step("stream"):
        platform = wait_until_ready(platform, ["stream"])
    if plan:
        run_first_load(platform, plan)
    optional = platform.names(*Group, optional=True)
    if demo:
        platform = start_services(platform, optional)
    else:
        for name in optional:
            supervision.stop_service(platform.layout, platform.services[name])
    if preparation:
        platform = wait_until_ready(platform, airflow)  # before a password is shown to whoever listens there
        wait_for_airflow(platform)
        unpause_dags(platform, demo=demo)
    with step("every service answers"):
        platform = wait_until_ready(platform, [name for name in platform.services if demo or name not in optional])
    provision_services(platform, Group.JOBS, Group.AIRFLOW)
    return platform


def show_addresses(platform: Platform) -> None:
    """Print where everything is, and a query to paste."""
    settings = platform.settings
    wanted = [service for service in platform.registered.values() if service.is_wanted(settings)]
    found = sorted((each for service in wanted for each in service.addresses(platform)), key=lambda each: each.place)
    lake = lake_of(platform.layout, settings)
    rows = [("what", "where", "log in as"), *(each[:3] for each in found), ("lake", lake.url, "")]
    say(columns(rows))
    say(f'try: ./scripts/tieout sql "{SAMPLE}"')
