"""`tieout contract evolve`: another contract while events flow.

Silver first, then bronze, then the contract in force; stream, live view and pipeline are stopped before bronze and
started at the end. Where it ends in the middle, silver and bronze have columns that nobody fills, or hold rows to fewer
conditions than before: that is harmless. Run again, it goes on.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.evolution import Evolution, plan_evolution
from contracts.model import Entity
from control import supervision
from control.progress import say, step
from control.starting import start_services, wait_until_ready
from core import failpoints
from core.errors import TieoutError
from core.files import write_file
from core.layout import Layout, find_layout

if TYPE_CHECKING:
    from control.processes import Platform

# They judge by the contract that they read at their start.
JUDGES = ("stream", "live", "pipeline")
NEXT = "./scripts/tieout contract evolve"
# How long a load that is under way is waited for.
LOAD_SECONDS = 600.0


def mount(_: typer.Typer) -> None:
    """Add `evolve` to the commands of the contracts."""
    from contracts.cli import app

    app.command()(evolve)


def evolve(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
) -> None:
    """Put the contracts of the checkout in force in this home: silver, bronze, contract, then stream and live view.

    An optional field, a rule, a rule that is relaxed and a value of a list may come while events flow. What would break
    those who read is refused. Safe to repeat: a run that was cut short is ended by the next.

    Example: ./scripts/tieout contract evolve --dry-run
    """
    layout = find_layout()
    ways = changed_contracts(layout)
    refused = [f"{way.new.name}: {why}" for way in ways for why in way.refused]
    if refused:
        raise TieoutError(
            f"the contract cannot change like this while events flow. {'; '.join(refused)}.",
            "nothing was changed; the contract of before is in force.",
            "change the file so that nothing of it breaks, or make a new platform: docs/evolution.md",
        )
    if dry_run:
        typer.echo(
            "\n".join(line for way in ways for line in told(way)) or "every contract is in force as it is stated"
        )
        return
    put_in_force(layout, ways)


def changed_contracts(layout: Layout) -> list[Evolution]:
    """Return the way from the contract in force to the stated one, for each entity whose contract changed."""
    from contracts.entities import entity_names, in_force_file, load_entity, stated_entity
    from contracts.problems import require_sound_contracts

    require_sound_contracts()
    load_entity.cache_clear()
    return [
        plan_evolution(load_entity(name), stated_entity(name))
        for name in entity_names()
        if in_force_file(name, layout).is_file() and load_entity(name) != stated_entity(name)
    ]


def told(way: Evolution) -> list[str]:
    """Return what a way changes, a line each."""
    name, old, new = way.new.name, way.old, way.new
    before, after = {rule.code: rule.sql for rule in old.rules}, {rule.code: rule.sql for rule in new.rules}
    lines = [f"{name}: version {old.version} becomes {new.version}"]
    lines += [f"{name}: field {field.name} is new and optional" for field in way.added]
    lines += [f"{name}: rule {code} is new" for code in after if code not in before]
    lines += [f"{name}: rule {code} changes" for code in after if code in before and before[code] != after[code]]
    return lines + [f"{name}: rule {code} is gone" for code in before if code not in after]


def put_in_force(layout: Layout, ways: list[Evolution]) -> None:
    """Take every step that is left of the ways, and let those who judge begin anew."""
    from control.accounts import choose_accounts
    from control.env import settings
    from control.processes import Platform

    platform = Platform(layout, choose_accounts(layout), settings(layout))
    for way in ways:
        with step(f"silver of {way.new.name}"):
            bring_silver_to(platform.settings, way.new, way.loosened)
    failpoints.reach("evolve.after-silver")
    judges = _stop_judges(platform)
    for way in ways:
        with step(f"bronze of {way.new.name}"):
            _bring_bronze_to(platform, way.new)
    failpoints.reach("evolve.after-bronze")
    with _no_load(platform.settings):
        for way in ways:
            record_contract(layout, way.new.name)
            say(f"  {way.new.name}: version {way.new.version} is in force")
    failpoints.reach("evolve.after-contract")
    with step("silver holds new rows to every rule"):
        hold_silver_to_rules(platform.settings)
    with step("stream and live view judge by the contracts in force"):
        start_services(platform, judges)
        wait_until_ready(platform, judges)
    _marker(layout).unlink(missing_ok=True)


def record_contract(layout: Layout, name: str) -> None:
    """Keep the stated contract of an entity as the one that this home judges by."""
    from contracts.entities import contract_file, in_force_file, load_entities, load_entity

    file = in_force_file(name, layout)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    write_file(file, contract_file(name).read_text(encoding="utf-8"), mode=0o644)
    load_entity.cache_clear()
    load_entities.cache_clear()


def record_first_contracts(layout: Layout) -> None:
    """Keep the stated contract of each entity that this home has none of yet; tell of those that have changed since."""
    from contracts.entities import entity_names, in_force_file, load_entity, stated_entity

    for name in entity_names():
        if not in_force_file(name, layout).is_file():
            record_contract(layout, name)
        elif load_entity(name) != stated_entity(name):
            stated, kept = stated_entity(name).version, load_entity(name).version
            say(f"  contract of {name}: {kept} is in force, the checkout states {stated}. Next: {NEXT}")


def bring_silver_to(values: Mapping[str, str], entity: Entity, loosened: Sequence[str] = ()) -> None:
    """Give an entity's tables in silver the columns of its contract."""
    import psycopg

    from control.roles import dsn
    from warehouse.schema import prepare_silver

    with psycopg.connect(dsn(values, "owner"), autocommit=True) as connection:
        for line in prepare_silver(connection, entity, loosened):
            say(f"  {line}")


def hold_silver_to_rules(values: Mapping[str, str]) -> None:
    """Let silver hold new rows of every entity to the rules in force."""
    import psycopg

    from contracts.entities import load_entities
    from control.roles import dsn
    from warehouse.schema import hold_to_rules

    with psycopg.connect(dsn(values, "owner"), autocommit=True) as connection:
        for entity in load_entities():
            for line in hold_to_rules(connection, entity):
                say(f"  {line}")


def _bring_bronze_to(platform: "Platform", entity: Entity) -> None:
    from control.accounts import hand_over, ids
    from control.env import lake_of
    from spark_streaming.tables import add_missing_columns, stream_tables

    bronze, _ = stream_tables(lake_of(platform.layout, platform.settings), entity)
    before = os.umask(0o022)  # the stream reads the commit from the moment that it is there
    try:
        add_missing_columns(bronze)
    finally:
        os.umask(before)
    if os.geteuid() == 0 and bronze.lake.folder is not None and platform.accounts.services:
        hand_over(bronze.lake.folder, *ids(platform.accounts.services))


def _marker(layout: Layout) -> Path:
    """Return the file that names the services which a run that was cut short has stopped."""
    return layout.state / "contracts" / "stopped.json"


def _stop_judges(platform: "Platform") -> list[str]:
    """Stop whoever judges by the contract of before, until another one is in force; return the services to start."""
    states = supervision.process_states(platform.layout)
    marker = _marker(platform.layout)
    before = json.loads(marker.read_text(encoding="utf-8")) if marker.is_file() else []
    stopped = {"STOPPED", "STOPPING"}
    names = [name for name in JUDGES if name in states and (name in before or states[name]["statename"] not in stopped)]
    marker.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    write_file(marker, json.dumps(names), mode=0o644)
    for name in names:
        supervision.stop_service(platform.layout, platform.services[name])
    return names


@contextmanager
def _no_load(values: Mapping[str, str]) -> Iterator[None]:
    """Keep loads away while the contract changes: one that is under way ends first."""
    import psycopg

    from control.roles import dsn
    from warehouse.audit import only_loader

    with psycopg.connect(dsn(values, "owner"), autocommit=True) as connection, only_loader(connection, LOAD_SECONDS):
        yield
