"""Stopping: every process of this home ends; and starting over: what the platform keeps is deleted."""

import shutil
from functools import partial

from contracts.entities import lake_tables
from control import orphans, registry, store, supervision
from control.accounts import Accounts, choose_accounts
from control.backup.unfinished import marker
from control.catching_up import writer_is_at_work
from control.loop import SET
from control.progress import say, step
from core.errors import TieoutError
from core.lake import Lake
from core.layout import Layout
from core.locks import exclusive
from core.settings import load_settings

WAITING = "a start or stop that is under way"


def stop_platform(layout: Layout) -> None:
    """Stop jobs, then broker and database, then the supervisor; nothing of the session lives on. Data stays."""
    if not layout.state.exists():
        say(f"nothing runs at {layout.home}")
        return
    with exclusive(layout.state / "start.lock", partial(say, f"waiting for {WAITING}")):
        _stop(layout)


def _stop(layout: Layout) -> None:
    if not supervision.running(layout) and not orphans.members(layout):
        say(f"nothing runs at {layout.home}")
        return
    with step("all services stopped; data kept"):
        supervision.shut_down(layout)


def reset_platform(layout: Layout) -> None:
    """Stop, then delete broker log, cluster, lake and logs, under one lock: no start comes between.

    `.env`, environments, JARs and samples stay, and so do files of people: `data/undelivered`, and in
    `data/batch_files` all but the gateway's own statements.

    Raises:
        TieoutError: a process that is no service writes the lake, or the lake's store is away.
    """
    if not layout.state.exists():
        return
    accounts = choose_accounts(layout)
    with exclusive(layout.state / "start.lock", partial(say, f"waiting for {WAITING}")):
        _stop(layout)
        if writer_is_at_work(layout):
            raise TieoutError(
                "a stream that is no service of this platform writes the lake.",
                "all services are stopped; nothing was deleted.",
                "end that `tieout stream`, then ./scripts/tieout reset",
            )
        _delete(layout, accounts)


def _delete(layout: Layout, accounts: Accounts) -> None:
    with step("broker log, cluster and lake deleted"):
        if not store.holds_lake(layout):  # whose folder is deleted below
            for table in Lake.of(load_settings(layout), layout, lake_tables()).tables:
                table.remove()
        services = [*registry.plain_services().values()]
        for profile in registry.profile_names():  # one that this home has no more may have left something
            services += registry.services_of_profile(profile).values()
        folders = [each for service in services for each in service.folders(layout, accounts)]
        doomed = [layout.logs, layout.run, layout.state / "supervisor", layout.state / "account"]
        for folder in (*(each.path for each in folders if not each.kept), *doomed):
            if folder.exists():
                shutil.rmtree(folder)
        # The gateway's own statements speak of what was just deleted; other files there are people's.
        statements = (*layout.batch_files.glob(".gateway-statements.*"), *layout.batch_files.glob("gateway-*-*-*.csv"))
        kept = (layout.writer_lock, layout.state / "first-load.json", layout.state / SET, marker(layout))
        for file in (*kept, *statements):
            file.unlink(missing_ok=True)
