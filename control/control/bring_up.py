"""From a folder to a broker and a database that are ready, with users, topics, roles and schemas. Safe to repeat."""

import os
from collections.abc import Mapping
from contextlib import suppress

from control import registry, supervision
from control.accounts import Accounts, choose_accounts, ensure_accounts, ids, own_folder
from control.env import ensure_env, lake_of
from control.env import settings as read_settings
from control.orphans import folder
from control.processes import Platform
from control.progress import say, step
from control.readiness import answers
from control.roles import wait_for_postgres
from control.service import Group
from control.services.postgres import reload_host_rules
from control.starting import prepare_services, start_services, wait_until_ready, with_free_ports
from core.lake import Lake
from core.layout import Layout

PATIENCE_SECONDS = 60.0


def prepare(layout: Layout) -> Platform:
    """Make folders, accounts, secrets and free ports; nothing runs yet. Hold the platform's lock around it."""
    ensure_env(layout)
    values = read_settings(layout)
    accounts = choose_accounts(layout)
    if accounts.note:
        say(f"  {accounts.note}")
    ensure_accounts(accounts)
    make_folders(layout, accounts, lake_of(layout, values))
    platform = Platform(layout, accounts, values)
    if supervision.running(layout):
        return with_free_ports(platform, ())  # a profile that has just come: what follows from its ports
    supervision.shut_down(layout)  # what a killed supervisor left may hold the ports
    return with_free_ports(platform)


def make_folders(layout: Layout, accounts: Accounts, lake: Lake) -> None:
    """Make the home's folders, each of the account that writes it."""
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.state.chmod(0o755)
    own_folder(layout.logs, None, 0o711)  # passed through, not listed: each log is its writer's alone
    for log in layout.logs.glob("*.log*"):
        with suppress(FileNotFoundError):  # the supervisor renames a full one
            log.chmod(0o600)  # also one that an earlier version began with wider rights
    own_folder(folder(layout), None, 0o700)
    own_folder(layout.run, accounts.services, 0o755)
    own_folder(layout.state / "account", accounts.services, 0o700)  # the accounts' home
    layout.data.mkdir(exist_ok=True)
    for service in registry.services_of(layout).values():
        user = accounts.postgres if service.account == "postgres" else accounts.services
        for each in service.folders(layout, accounts):
            if each.made == "always" or (each.made == "found" and each.path.exists()):
                own_folder(each.path, user, 0o700)
    for kept in (table.folder for table in lake.tables):
        if kept is not None and kept.exists():
            own_folder(kept, accounts.services, 0o700)
    for root in {layout.data, lake.folder or layout.data}:
        root.mkdir(parents=True, exist_ok=True)
        if accounts.services is not None:  # tables are made in it; what people keep there stays theirs
            os.chown(root, *ids(accounts.services))


def bring_up_base(platform: Platform) -> Platform:
    """Start broker and database, wait until they answer, and bring topics, roles and schemas to today's state.

    Returns:
        the platform, with other ports where those that it had were taken meanwhile.
    """
    layout, services, base = platform.layout, platform.services, platform.names(Group.BASE)
    is_new = not supervision.running(layout)
    if is_new:
        with step("configuration of broker and database"):
            prepare_services(platform, base)
        with step("supervisor"):
            supervision.launch(layout, services.values())
    else:
        _require_the_clusters_password(platform)
        if supervision.refresh(layout, services.values()):
            say("  services whose settings changed were restarted")
    platform = start_services(platform, base, prepare=not is_new)
    with step("broker and database started"):
        platform = wait_until_ready(platform, base)
    if not is_new and "postgres" in base:
        reload_host_rules(platform)
    provision_services(platform, Group.BASE)
    return platform


def provision_services(platform: Platform, *groups: Group) -> None:
    """Wait until services let clients in, also those that run elsewhere, and bring what is inside to today's state."""
    settings, services = platform.settings, platform.registered
    for service in services.values():
        if service.group in groups and service.is_wanted(settings):
            waiting, making = (words.format_map(settings) for words in service.says)
            if service.wait:
                with step(waiting or f"{service.name} lets clients in"):
                    service.wait(settings, PATIENCE_SECONDS)
            if service.provision:
                with step(making or f"{service.name} is set up"):
                    service.provision(settings, services)


def _require_the_clusters_password(platform: Platform) -> None:
    """Notice another platform's `.env` before services that run are stopped for it."""
    states = supervision.process_states(platform.layout)
    if states.get("postgres", {}).get("statename") == "RUNNING" and answers(int(platform.settings["POSTGRES_PORT"])):
        wait_for_postgres(platform.settings, seconds=10)


def provision(settings: Mapping[str, str]) -> None:
    """Bring a broker and a database that run elsewhere to what the contract and the migrations say."""
    services = registry.plain_services()
    for service in services.values():
        if service.wait:
            service.wait(settings, PATIENCE_SECONDS)
        if service.provision:
            service.provision(settings, services)
