"""`tieout start`: from a set-up folder to a platform with proven payments, and where to look."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from contracts.layout import Layout
from control import supervision
from control.bring_up import Platform, bring_up_base, prepare
from control.first_load import first_load
from control.java import require_java
from control.locks import exclusive
from control.say import say, step
from control.services import DEMO, JOBS

SAMPLE = "select occurred_on, currency, success_count, success_amount from marts.daily_revenue_summary limit 5"


def start_platform(layout: Layout, *, demo: bool) -> None:
    """Start what does not run yet, load the first payments, and print URLs. Safe to repeat, and two at once.

    Args:
        demo: load 20,000 payments the first time and keep a continuous producer; False stops such a producer.

    Raises:
        TieoutError: a part is missing or does not become ready; the parts that run go on running.
    """
    require_java()
    begun = time.monotonic()
    layout.state.mkdir(parents=True, exist_ok=True)
    with exclusive(layout.state / "start.lock", "another start or stop"):
        platform = prepare(layout)
        bring_up_base(platform)
        services = platform.services
        _start(platform, "stream")
        if demo:
            first_load(platform)
        for name in (*JOBS, *DEMO):
            if name in DEMO and not demo:
                supervision.stop_service(layout, services[name])
            else:
                _start(platform, name)
    say(f"ready after {time.monotonic() - begun:.0f} s; everything listens on 127.0.0.1 only")
    show_addresses(layout, platform.settings)


def _start(platform: Platform, name: str) -> None:
    if supervision.process_states(platform.layout)[name]["statename"] == "RUNNING":
        return
    with step(name):
        supervision.start_service(platform.layout, platform.services[name])


def show_addresses(layout: Layout, settings: Mapping[str, str]) -> None:
    """Print where everything is, and a query to paste."""
    table = Table("what", "where", "log in as", box=None, pad_edge=False)
    table.add_row("broker", settings["KAFKA_BOOTSTRAP"], "SCRAM users in .env")
    database = f"postgresql://127.0.0.1:{settings['POSTGRES_PORT']}/{settings['POSTGRES_DB']}"
    table.add_row("warehouse", database, "reader, POSTGRES_PASSWORD_READER in .env")
    table.add_row("stream", f"http://127.0.0.1:{settings['SPARK_UI_PORT']}", "-")
    table.add_row("lake", str(layout.data), "-")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(table)
    say(f'try: ./scripts/tieout sql "{SAMPLE}"')
