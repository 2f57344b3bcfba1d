"""Stopping: every process of this home ends; and starting over: what the platform keeps is deleted."""

import shutil

from contracts.layout import Layout
from control import orphans, supervision
from control.accounts import choose_accounts
from control.bring_up import SCRATCH
from control.locks import exclusive
from control.say import say, step

WAITING = "a start or stop that is under way"


def stop_platform(layout: Layout) -> None:
    """Stop jobs, then broker and database, then the supervisor; nothing of the session lives on. Data stays."""
    if not layout.state.exists():
        say(f"nothing runs at {layout.home}")
        return
    with exclusive(layout.state / "start.lock", WAITING):
        if not supervision.running(layout) and not orphans.members(layout):
            say(f"nothing runs at {layout.home}")
            return
        with step("all services stopped; data kept"):
            supervision.shut_down(layout)


def reset_platform(layout: Layout) -> None:
    """Stop, then delete broker log, cluster, lake and logs; `.env`, environments, JARs and samples stay."""
    stop_platform(layout)
    if not layout.state.exists():
        return
    accounts = choose_accounts(layout)
    with exclusive(layout.state / "start.lock", WAITING), step("broker log, cluster and lake deleted"):
        doomed = [layout.kafka_data, accounts.postgres_data, accounts.postgres_runtime, layout.logs, layout.run]
        doomed += [layout.state / name for name in ("broker", "supervisor", *SCRATCH)]
        doomed += [layout.bronze, layout.dead_letters, layout.checkpoint.parent, layout.batch_files, layout.undelivered]
        for folder in doomed:
            if folder.exists():
                shutil.rmtree(folder)
        for file in (layout.writer_lock, layout.state / "first-load.json"):
            file.unlink(missing_ok=True)
