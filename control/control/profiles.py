"""Optional parts of the platform: asked for by `start --with NAME`, kept by the home until `--without NAME`."""

import json
from collections.abc import Iterable, Sequence

from control import registry
from control.accounts import choose_accounts, own_file
from control.env import DEFAULTS, NAMES, change_env, read_env
from control.progress import say
from core.errors import OptionError, TieoutError
from core.layout import Layout

UNCHANGED = "nothing was started or changed."


def choose_profiles(layout: Layout, wanted: Sequence[str], unwanted: Sequence[str]) -> None:
    """Bring the home's profiles to what is asked for, and what they need to run onto this machine.

    A profile that goes leaves its data, users and roles; they are there again when it comes back. Settings that its
    services have set are what they were at set-up.

    Raises:
        OptionError: there is no profile of that name.
        TieoutError: a profile can only come or go on a fresh home, or two of them bring the same service.
    """
    before = registry.chosen_profiles(layout)
    _require_known(wanted, unwanted, before)
    after = tuple(dict.fromkeys(name for name in (*before, *wanted) if name not in unwanted))
    _require_fresh_home(layout, set(before) ^ set(after))
    _require_one_profile_a_service(after)
    for name in (name for name in before if name not in after and name in registry.profile_names()):
        take_away = registry.load_profile(name).take_away
        if take_away:
            take_away(layout)
    for name in after:
        set_up = registry.load_profile(name).set_up
        if set_up:
            set_up(layout)
    if after == before:
        return
    _take_settings_back(layout, set(before) - set(after))
    own_file(registry.chosen_file(layout), json.dumps(after) + "\n", None, 0o644)
    say(f"  profiles of this home from now on: {', '.join(after) or 'none'}")


def _require_known(wanted: Sequence[str], unwanted: Sequence[str], before: Sequence[str]) -> None:
    known = registry.profile_names()
    there = f"there are {', '.join(known)}" if known else "there are none yet"
    unknown = [
        *(name for name in wanted if name not in known),
        *(name for name in unwanted if name not in (*known, *before)),
    ]
    if unknown:
        raise OptionError(f"there is no profile {unknown[0]}; {there}.", UNCHANGED, "./scripts/tieout start --help")
    if both := set(wanted) & set(unwanted):
        raise OptionError(
            f"{min(both)} is named with --with and with --without.", UNCHANGED, "./scripts/start.sh with one of them"
        )
    if missing := [name for name in before if name not in (*known, *unwanted)]:
        raise registry.missing_profile(missing[0])


def _require_fresh_home(layout: Layout, changing: Iterable[str]) -> None:
    files = (layout.kafka_data / "meta.properties", choose_accounts(layout).postgres_data / "PG_VERSION")
    if not any(file.exists() for file in files):
        return
    for name in sorted(set(changing) & set(registry.profile_names())):
        if registry.load_profile(name).needs_fresh_home:
            raise TieoutError(
                f"the profile {name} can only come to a fresh home, or leave one: broker or database of {layout.home} "
                "have been started.",
                UNCHANGED,
                "TIEOUT_HOME=/another/folder with the same command, or ./scripts/tieout reset, which deletes the data",
            )


def _require_one_profile_a_service(names: Iterable[str]) -> None:
    owners: dict[str, str] = {}
    for profile in names:
        for service in registry.services_of_profile(profile):
            other = owners.setdefault(service, profile)
            if other != profile:
                raise TieoutError(
                    f"the profiles {other} and {profile} both bring the service {service}.",
                    UNCHANGED,
                    f"./scripts/start.sh --without {other}, or --without {profile}",
                )


def _take_settings_back(layout: Layout, gone: Iterable[str]) -> None:
    """Give settings that followed from a gone profile's services their first values again."""
    known = registry.profile_names()
    services = [each for name in gone if name in known for each in registry.services_of_profile(name).values()]
    added = {name: value for each in services for name, value in each.adds.items() if value is not None}
    values = DEFAULTS | added | read_env(layout.env_file)
    followed = {name: value for service in services for name, value in service.follows(values).items()}
    theirs = [name for name, value in followed.items() if values.get(name) == value]
    if first := {name: DEFAULTS.get(name, "") for name in theirs if name in NAMES}:
        change_env(layout, first)
