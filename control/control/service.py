"""What a service is: one object in a file of `control/services/` says all that the platform has to know of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from control.accounts import Accounts
from core.layout import Layout

if TYPE_CHECKING:
    from contracts.model import Entity
    from control.processes import Platform

Settings = Mapping[str, str]
Services = Mapping[str, "Service"]

# Settings that say where broker, warehouse and lake are, for `Service.knows`.
BROKER = (
    *("KAFKA_BOOTSTRAP", "KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM", "KAFKA_CA_FILE"),
    *("KAFKA_CERTIFICATE_FILE", "KAFKA_KEY_FILE", "KAFKA_KEY_PASSWORD"),
)
WAREHOUSE = (
    *("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB"),
    *("POSTGRES_SSLMODE", "POSTGRES_CA_FILE", "POSTGRES_CERTIFICATE_FILE", "POSTGRES_KEY_FILE"),
)
LAKE = ("LAKE_URL", "LAKE_ENDPOINT", "LAKE_REGION", "LAKE_ACCESS_KEY", "LAKE_SECRET_KEY")

# For `Role.grants`: its sessions may ask to give way, see roles.GIVE_WAY.
MAY_GIVE_WAY = ("USAGE ON SCHEMA control", "EXECUTE ON FUNCTION control.give_way()")

# What works in batches leaves the processors to what somebody waits for: gateway, broker, database, live view, pages.
BATCH = "nice:10"
# Those open sessions of their own, beside the supervisor's with all that gives way: see supervision.give_way. Not what
# renames itself, as Airflow does: it would lose the mark by which orphans find it.
INTERACTIVE = "session"


class Group(IntEnum):
    """What starts together. Groups stop one after the other, the highest number first: jobs before what they need."""

    BASE = 10
    JOBS = 20
    AIRFLOW = 30


class Acl(NamedTuple):
    """A right on the broker: what may be done with which topic, group or transactional id."""

    operation: str
    name: str
    resource: str = "TOPIC"
    prefixed: bool = False


@dataclass(frozen=True)
class KafkaUser:
    """A user of the broker. Its password is the secret KAFKA_PASSWORD_<NAME>.

    Attributes:
        rights: all that it may do. Who reads a topic also gets the consumer groups that begin with `<name>-`.
    """

    name: str
    rights: Callable[[Sequence["Entity"]], Sequence[Acl]]

    @property
    def secret(self) -> str:
        """The setting with its password."""
        return f"KAFKA_PASSWORD_{self.name.upper()}"


@dataclass(frozen=True)
class Role:
    """A role of the database server. Its password is the secret POSTGRES_PASSWORD_<NAME>.

    Attributes:
        connections: how many it may hold at once.
        database: the one that it may connect to; None: the warehouse.
        owns_database: it is that database's owner, and the database is made for it.
        grants: what a superuser grants in that database, as `TEMPORARY ON DATABASE {database}`. Rights on schemas and
            tables of the warehouse are its migrations' to give.
        calls: the functions taken from everybody else that it may call: patterns of `control.restrict`.
        defaults: its sessions' settings, as `statement_timeout = '15s'`.
    """

    name: str
    connections: int
    database: str | None = None
    owns_database: bool = False
    grants: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()

    @property
    def secret(self) -> str:
        """The setting with its password."""
        return f"POSTGRES_PASSWORD_{self.name.upper()}"


@dataclass(frozen=True)
class Folder:
    """A folder of a service, which its account alone may enter.

    Attributes:
        made: always (before each start), found (by its program; one that is there is handed to the account), or never
            (by `Service.prepare`).
        kept: `tieout reset` leaves it.
    """

    path: Path
    made: Literal["always", "found", "never"] = "always"
    kept: bool = False


class Address(NamedTuple):
    """A line of what a start prints at its end.

    Attributes:
        place: lower ones come first; the lines of one service stay together.
    """

    what: str
    where: str
    login: str = ""
    place: int = 50


def _nothing(_: Any) -> Any:
    return {}


def _nowhere(*_: Any) -> Any:
    return ()


def _always(_: Settings) -> bool:
    return True


def _never(_: Settings) -> bool:
    return False


@dataclass(frozen=True)
class Service:
    """A program that the supervisor keeps alive.

    Attributes:
        name: of its file too, with `_` for `-`. A profile's service takes the place of a plain one of the same name.
        place: its place among the others, in status and among what starts at once.
        command: the program and its arguments.
        group: what it starts and stops with. BASE is up before topics and roles are set, and answers at once.
        account: whose process it is. PostgreSQL's account can reach neither our Python nor the home, so that such a
            service gets a bare environment, and waits for nothing.
        knows: the settings that it gets in its environment. No pattern, on purpose: a new secret reaches nobody by
            accident.
        environment: what it gets besides, in its program's own terms.
        adds: settings that `core.settings` does not have, and their defaults; None: a secret, drawn at set-up. The
            passwords of its users and roles come by themselves.
        ports: settings of the ports on which it listens, the one that others wait for first. One that is taken moves
            to the next free one.
        follows: settings that follow from its ports, such as the address under which clients find it.
        waits_for: services whose first port has to answer before it starts.
        priority: BATCH, INTERACTIVE or neither.
        stop_signal: what asks it to end cleanly.
        stop_seconds: after these it is killed.
        check: returns what keeps it from doing its work, None when nothing does; asked once its ports answer. It gets
            the supervisor's word on the process.
        reports: what ails other services, by name, as this one sees it; asked by status.
        url: where a person can look, if anywhere.
        addresses: what a start prints of it.
        folders: what it keeps on disk.
        is_elsewhere: it is somebody else's to run, at another address.
        is_wanted: the settings ask for it.
        is_optional: it is the demo's: `--no-demo` leaves it stopped, and a platform without it is well.
        prepare: done before it starts, such as writing its configuration; safe to repeat.
        wait: returns when it lets a client in, within so many seconds.
        provision: brings what is inside to today's state once it lets clients in, for all services of the platform;
            safe to repeat.
        says: what a start says of `wait` and of `provision`; may name settings in braces.
        users: its users of the broker.
        roles: its roles of the database server.
        profile: the one that brings it, None: always there. The registry sets it.
    """

    name: str
    command: Callable[["Platform"], Sequence[str]]
    place: int = 50
    group: Group = Group.JOBS
    account: Literal["services", "postgres"] = "services"
    knows: tuple[str, ...] = ()
    environment: Callable[["Platform"], Mapping[str, str]] = _nothing
    adds: Mapping[str, str | None] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    follows: Callable[[Settings], Mapping[str, str]] = _nothing
    waits_for: tuple[str, ...] = ()
    priority: str = ""
    stop_signal: str = "TERM"
    stop_seconds: int = 30
    check: Callable[[Layout, Settings, Mapping[str, Any]], str | None] | None = None
    reports: Callable[[Settings], Mapping[str, str]] = _nothing
    url: Callable[[Settings], str] | None = None
    addresses: Callable[["Platform"], Sequence[Address]] = _nowhere
    folders: Callable[[Layout, Accounts], Sequence[Folder]] = _nowhere
    is_elsewhere: Callable[[Settings], bool] = _never
    is_wanted: Callable[[Settings], bool] = _always
    is_optional: bool = False
    prepare: Callable[["Platform"], None] | None = None
    wait: Callable[[Settings, float], None] | None = None
    provision: Callable[[Settings, Services], None] | None = None
    says: tuple[str, str] = ("", "")
    users: tuple[KafkaUser, ...] = ()
    roles: tuple[Role, ...] = ()
    profile: str | None = None

    @property
    def supervisor_group(self) -> str:
        """Its group's name: a profile has groups of its own, so that nothing else restarts when it comes or goes."""
        return "-".join(filter(None, (self.profile, self.group.name.lower())))

    @property
    def added_settings(self) -> dict[str, str | None]:
        """Every setting that it needs and that may be new, as in `adds`."""
        secrets = [*(user.secret for user in self.users), *(role.secret for role in self.roles)]
        return {**self.adds, **dict.fromkeys(secrets)}


@dataclass(frozen=True)
class Profile:
    """A part of the platform that is there when somebody asks for it: `PROFILE` of a package in `control/services/`.

    Attributes:
        about: what it brings, in a few words.
        needs_fresh_home: it can neither come to nor leave a home whose broker or database was ever started.
        set_up: brings what it needs to run, such as a download that is checked against pinned hashes; asked at each
            start, before anything changes, and quick when all is there.
        take_away: takes back the settings that `set_up` has written; asked before the profile goes, and raises where
            it cannot go yet.
    """

    about: str
    needs_fresh_home: bool = False
    set_up: Callable[[Layout], None] | None = None
    take_away: Callable[[Layout], None] | None = None
