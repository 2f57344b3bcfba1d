"""From a folder to a broker and a database that are ready, with users, topics, roles and schemas. Safe to repeat."""

import os
from collections.abc import Mapping
from contextlib import suppress

from contracts.model import load_contract
from control import supervision
from control.accounts import Accounts, choose_accounts, ensure_accounts, ids, own_file, own_folder
from control.env import ensure_env, lake_of
from control.env import settings as read_settings
from control.kafka import prepare_broker, wait_for_broker
from control.orphans import folder
from control.ports import LISTENING
from control.postgres import prepare_postgres
from control.readiness import answers
from control.roles import dsn, ensure_roles, wait_for_postgres
from control.say import say, step
from control.services import BASE, Platform
from control.starting import start_services, wait_until_ready, with_free_ports
from control.topics import ensure_topics
from core.lake import Lake
from core.layout import Layout

# What the jobs keep beside the data: the accounts' home, Spark's and the loader's scratch files, dbt's target.
SCRATCH = ("account", "spark", "load", "dbt", "dbt-docs")


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
    if not supervision.running(layout):
        supervision.shut_down(layout)  # what a killed supervisor left may hold the ports
        platform = with_free_ports(platform, LISTENING)
    return platform


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
    for part in (*(layout.state / name for name in SCRATCH), layout.logs / "dbt"):
        own_folder(part, accounts.services, 0o700)
    layout.data.mkdir(exist_ok=True)
    own_folder(layout.batch_files, accounts.services, 0o700)
    own_folder(layout.undelivered, accounts.services, 0o700)
    own_folder(layout.docs_site, accounts.services, 0o700)
    _place_holder(layout, accounts)
    for kept in (*(table.folder for table in lake.tables), layout.checkpoint.parent):
        if kept is not None and kept.exists():
            own_folder(kept, accounts.services, 0o700)
    for root in {layout.data, lake.folder or layout.data}:
        root.mkdir(parents=True, exist_ok=True)
        if accounts.services is not None:  # tables are made in it; what people keep there stays theirs
            os.chown(root, *ids(accounts.services))


def _place_holder(layout: Layout, accounts: Accounts) -> None:
    """Say on the lineage site why it is empty, until the first documentation takes the page's place."""
    page = layout.docs_site / "index.html"
    if not page.exists():
        text = "<!doctype html><title>Tieout: lineage</title><p>The first run of the pipeline writes this page.\n"
        own_file(page, text, accounts.services)


def bring_up_base(platform: Platform) -> Platform:
    """Start broker and database, wait until they answer, and bring topics, roles and schemas to today's state.

    Returns:
        the platform, with other ports where those that it had were taken meanwhile.
    """
    layout, settings, services = platform.layout, platform.settings, platform.services
    base = [name for name in BASE if name in services]
    if not supervision.running(layout):
        with step("configuration of broker and database"):
            if "kafka" in services:
                prepare_broker(layout, platform.accounts, settings)
            if "postgres" in services:
                prepare_postgres(platform.accounts, settings)
        with step("supervisor"):
            supervision.launch(layout, services.values())
    else:
        _require_the_clusters_password(platform)
        if supervision.refresh(layout, services.values()):
            say("  services whose settings changed were restarted")
    platform = start_services(platform, base)
    with step("broker and database started"):
        platform = wait_until_ready(platform, base)
    settings = platform.settings
    with step(f"postgres on {settings['POSTGRES_HOST']}:{settings['POSTGRES_PORT']}"):
        wait_for_postgres(settings)
    with step("roles, databases, schemas"):
        ensure_roles(settings)
        migrate(settings)
    with step(f"kafka on {settings['KAFKA_BOOTSTRAP']}"):
        wait_for_broker(settings)
    with step("topics, users, rights"):
        ensure_topics(settings, load_contract())
    return platform


def _require_the_clusters_password(platform: Platform) -> None:
    """Notice another platform's `.env` before services that run are stopped for it."""
    states = supervision.process_states(platform.layout)
    if states.get("postgres", {}).get("statename") == "RUNNING" and answers(int(platform.settings["POSTGRES_PORT"])):
        wait_for_postgres(platform.settings, seconds=10)


def provision(settings: Mapping[str, str]) -> None:
    """Bring a broker and a database that run elsewhere to what the contract and the migrations say."""
    wait_for_postgres(settings)
    ensure_roles(settings)
    migrate(settings)
    wait_for_broker(settings)
    ensure_topics(settings, load_contract())


def migrate(settings: Mapping[str, str]) -> None:
    """Bring the schemas to the newest migration, as their owner."""
    from warehouse.migrate import let_reader_read_marts
    from warehouse.migrate import migrate as run_migrations

    run_migrations(dsn(settings, "owner"))
    let_reader_read_marts(dsn(settings, "dbt"))
