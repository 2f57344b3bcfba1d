"""The S3 store: SeaweedFS in one process, on this machine only."""

from collections.abc import Mapping
from typing import Any

from control.accounts import Accounts
from control.service import Address, Folder, Group, Service, Settings
from control.services.store import FIRST_PORT
from control.store import PARTS, STOP_SECONDS, Store, folder
from core.layout import Layout, find_layout

PORTS = tuple(f"STORE_{part.upper()}{kind}_PORT" for part in PARTS for kind in ("", "_GRPC"))


def store_of(layout: Layout, settings: Settings, user: str | None = None) -> Store:
    """Return the store of a home."""
    ports = [int(settings[name]) for name in PORTS]
    return Store(layout, folder(layout), ports, settings["LAKE_ACCESS_KEY"], settings["LAKE_SECRET_KEY"], user)


def _check(layout: Layout, settings: Settings, _: Mapping[str, Any]) -> str | None:
    return None if store_of(layout, settings).is_ready() else "it does not let the lake's account in yet"


def _wait(settings: Settings, seconds: float) -> None:
    store_of(find_layout(), settings).wait(seconds)


def _folders(layout: Layout, _: Accounts) -> list[Folder]:
    return [Folder(folder(layout), made="always")]


SERVICE = Service(
    name="store",
    place=9,
    group=Group.BASE,
    command=lambda platform: store_of(platform.layout, platform.settings).command,
    environment=lambda platform: store_of(platform.layout, platform.settings).environment,
    adds={name: str(FIRST_PORT + number) for number, name in enumerate(PORTS)},
    ports=PORTS,
    follows=lambda settings: {"LAKE_ENDPOINT": f"http://127.0.0.1:{settings[PORTS[0]]}"},
    stop_seconds=STOP_SECONDS,
    check=_check,
    wait=_wait,
    says=("store at {LAKE_ENDPOINT}", ""),
    url=lambda settings: f"http://127.0.0.1:{settings['STORE_ADMIN_PORT']}",
    addresses=lambda platform: [
        Address("store", store_of(platform.layout, platform.settings).endpoint, "keys in .env", place=12),
        Address(
            "store's console",
            store_of(platform.layout, platform.settings).console,
            "admin, LAKE_SECRET_KEY in .env",
            place=13,
        ),
    ],
    folders=_folders,
    prepare=lambda platform: store_of(platform.layout, platform.settings, platform.accounts.services).prepare(),
)
