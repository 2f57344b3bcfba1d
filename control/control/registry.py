"""Which services there are: found by their files, and of a profile that nobody asked for not even read."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import control.services
from control.service import KafkaUser, Profile, Role, Service, Services
from core.errors import TieoutError
from core.layout import Layout

PACKAGE = control.services.__name__


def chosen_file(layout: Layout) -> Path:
    """Return the file in which a home keeps the profiles that were asked for."""
    return layout.state / "profiles.json"


def chosen_profiles(layout: Layout) -> tuple[str, ...]:
    """Return the names of the profiles that this home has.

    Raises:
        TieoutError: the file in which it keeps them was changed to something else.
    """
    file = chosen_file(layout)
    try:
        return tuple(map(str, json.loads(file.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError):
        raise TieoutError(
            f"{file} is no list of profiles.",
            "nothing was changed.",
            f"rm {file}, then ./scripts/start.sh --with each of them",
        ) from None


def profile_names() -> tuple[str, ...]:
    """Return the names of all profiles; reads none of them."""
    return tuple(each.name for each in iter_modules(control.services.__path__) if each.ispkg)


def load_profile(name: str) -> Profile:
    """Return a profile that there is."""
    profile: Profile = import_module(f"{PACKAGE}.{name}").PROFILE
    return profile


def service_names() -> tuple[str, ...]:
    """Return the names of all services, those of profiles too; reads none of them."""
    path = list(control.services.__path__)
    folders = [*path, *(str(Path(each) / name) for each in path for name in profile_names())]
    return tuple(dict.fromkeys(name.replace("_", "-") for name in _modules(folders)))


def plain_services() -> Services:
    """Return the services that need no profile, by name."""
    return _services((), tuple(control.services.__path__))


def services_of(layout: Layout) -> Services:
    """Return the services that a home can have, by name: the plain ones, and those of its profiles.

    Raises:
        TieoutError: the home has a profile that this checkout does not have.
    """
    profiles = chosen_profiles(layout)
    if missing := set(profiles) - set(profile_names()):
        raise missing_profile(min(missing))
    return _services(profiles, tuple(control.services.__path__))


def missing_profile(name: str) -> TieoutError:
    """Return the error of a home whose profile this checkout does not have."""
    return TieoutError(
        f"this home has the profile {name}, and this checkout has none of that name.",
        "nothing was changed.",
        f"./scripts/start.sh --without {name}, or the same command in the checkout that has it",
    )


def services_of_profile(name: str) -> Services:
    """Return the services that one profile brings, by name."""
    return {each.name: each for each in _load(f"{PACKAGE}.{name}", name)}


def users_of(services: Services | None = None) -> tuple[KafkaUser, ...]:
    """Return the broker's users; without services those of the plain ones."""
    return tuple(user for each in (services or plain_services()).values() for user in each.users)


def roles_of(services: Services | None = None) -> tuple[Role, ...]:
    """Return the database server's roles; without services those of the plain ones."""
    return tuple(role for each in (services or plain_services()).values() for role in each.roles)


@lru_cache
def _services(profiles: tuple[str, ...], path: tuple[str, ...]) -> Services:  # noqa: ARG001  (another path, another answer)
    found = {each.name: each for each in _load(PACKAGE, None)}
    for profile in profiles:
        found |= services_of_profile(profile)
    return dict(sorted(found.items(), key=lambda item: item[1].place))


def _load(package: str, profile: str | None) -> list[Service]:
    names = _modules(import_module(package).__path__)
    return [replace(import_module(f"{package}.{name}").SERVICE, profile=profile) for name in names]


def _modules(folders: Iterable[str]) -> list[str]:
    # One folder at a time: a profile's folder would hide a service of the same name.
    found = (each for folder in folders for each in iter_modules([folder]))
    return [each.name for each in found if not each.ispkg and not each.name.startswith("_")]
