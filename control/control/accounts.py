"""Whose processes the services are: the caller's own, or, started by root, two accounts with no other rights."""

import errno
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import TieoutError
from core.files import write_file
from core.layout import Layout

SERVICE_USER = "tieout"
POSTGRES_USER = "tieout-postgres"


@dataclass(frozen=True)
class Accounts:
    """Who runs what.

    Attributes:
        services: the user of all services but PostgreSQL; None: the caller.
        postgres: the user of PostgreSQL; None: the caller.
        postgres_data: the cluster's folder.
        postgres_runtime: the folder of PostgreSQL's programs.
        note: one line for people when something could not be as it should.
    """

    services: str | None
    postgres: str | None
    postgres_data: Path
    postgres_runtime: Path
    note: str | None = None


def choose_accounts(layout: Layout) -> Accounts:
    """Return who runs what on this home; asks the disk, changes nothing."""
    own_data, own_runtime = layout.postgres_data, layout.state / "postgres-runtime"
    if os.geteuid() != 0:
        return Accounts(None, None, own_data, own_runtime)
    elsewhere = Path("/var/lib/tieout") / hashlib.sha256(str(layout.home).encode()).hexdigest()[:12]
    if not reachable(layout.home):
        own_data, own_runtime = elsewhere / "postgres", elsewhere / "postgres-runtime"
    hidden = next((path for path in _needed_by_services(layout) if not reachable(path)), None)
    if hidden is None:
        return Accounts(SERVICE_USER, POSTGRES_USER, own_data, own_runtime)
    note = f"services run as root: user {SERVICE_USER} cannot reach {hidden}. A clone below /srv would change that."
    return Accounts(None, POSTGRES_USER, own_data, own_runtime, note)


def reachable(path: Path) -> bool:
    """Say whether users without rights of their own can pass every folder down to a path and read it."""
    path = path.absolute()
    for each in {path, path.resolve()}:
        if not all(parent.stat().st_mode & stat.S_IXOTH for parent in each.parents if parent.exists()):
            return False
        if each.exists() and not each.stat().st_mode & (stat.S_IXOTH if each.is_dir() else stat.S_IROTH):
            return False
    return True


def _needed_by_services(layout: Layout) -> list[Path]:
    java = shutil.which("java")
    return [
        layout.home,
        layout.checkout / "core" / "core" / "__init__.py",
        Path(sys.executable),
        Path(os.__file__),
        *([Path(java)] if java else []),
    ]


def ensure_accounts(accounts: Accounts) -> None:
    """Make the system users that are missing.

    Raises:
        TieoutError: the machine has no useradd.
    """
    for user in {accounts.services, accounts.postgres} - {None}:
        if not exists(str(user)):
            _add_user(str(user))


def exists(user: str) -> bool:
    """Say whether this machine has an account."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _add_user(user: str) -> None:
    if shutil.which("useradd") is None:
        raise TieoutError(
            f"user {user} is missing and useradd is not installed.",
            "no service was started.",
            "install the package with useradd (passwd or shadow), or run ./scripts/start.sh as an ordinary user",
        )
    command = ["useradd", "--system", "--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin", user]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not exists(user):  # a second start may have been quicker: what counts is that the user is there
        raise TieoutError(
            f"user {user} could not be made: {done.stderr.strip()}", "no service was started.", " ".join(command)
        )


def account_name(uid: int) -> str:
    """Return the name of an account, its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def ids(user: str | None) -> tuple[int, int]:
    """Return user and group id of an account; the caller's own for None."""
    if user is None:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def as_user(user: str | None) -> dict[str, object]:
    """Return the arguments that make subprocess run a program as an account."""
    if user is None:
        return {}
    uid, gid = ids(user)
    return {"user": uid, "group": gid, "extra_groups": []}


def own_folder(path: Path, user: str | None, mode: int) -> None:
    """Make a folder that belongs to an account, with all that is in it when it changes hands.

    Root follows no link: the folder that it lies in may be a service's, which could point to any other folder.

    Raises:
        TieoutError: the caller is root, and the path is a link.
    """
    if os.geteuid() != 0:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return
    uid, gid = ids(user)
    with suppress(FileExistsError):
        path.mkdir(parents=True)
    with _opened(path) as descriptor:
        os.fchmod(descriptor, mode)
        if os.fstat(descriptor).st_uid != uid:
            _give(descriptor, uid, gid)


def hand_over(path: Path, uid: int, gid: int) -> None:
    """Give a folder and all that is in it to an account; one that is not there stays so.

    Raises:
        TieoutError: the path is a link.
    """
    if path.is_symlink() or path.exists():
        with _opened(path) as descriptor:
            _give(descriptor, uid, gid)


def _give(descriptor: int, uid: int, gid: int) -> None:
    for _, folders, files, below in os.fwalk(".", dir_fd=descriptor):  # goes into no link
        for name in (*folders, *files):
            os.chown(name, uid, gid, dir_fd=below, follow_symlinks=False)
    os.fchown(descriptor, uid, gid)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
        raise TieoutError(
            f"{folder} is a link or a file, and has to be a folder: root changes no folder through a link.",
            "what it points to is unchanged.",
            f"look who made it (ls -l {folder}), put a folder in its place, then ./scripts/start.sh",
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def own_file(path: Path, text: str, user: str | None, mode: int = 0o600) -> None:
    """Write a file that only an account can read; nobody sees it half-written or with wider rights."""
    write_file(path, text, mode=mode, owner=ids(user))
