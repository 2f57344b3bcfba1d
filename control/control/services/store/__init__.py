"""The profile `store`: an S3 store of this home's own, and the lake in it."""

import secrets
import subprocess
import sys

from control.env import change_env, lake_of, read_env
from control.progress import say
from control.service import Profile
from control.store import BUCKET, folder, holds_lake, is_elsewhere, program
from core.errors import TieoutError
from core.layout import Layout

URL = f"s3://{BUCKET}"
OWN = ("LAKE_ENDPOINT", "LAKE_ACCESS_KEY", "LAKE_SECRET_KEY")
FIRST_PORT = 8333


def _set_up(layout: Layout) -> None:
    """Install the store, draw its keys, and let a lake begin in it; one that is there stays where it is."""
    values = read_env(layout.env_file)
    if is_elsewhere(values):
        raise TieoutError(
            f"the lake of this home is in another store, at {values.get('LAKE_ENDPOINT') or 'Amazon S3'}, "
            "and LAKE_ENDPOINT names one store only.",
            "nothing was started or changed.",
            "./scripts/start.sh --without store",
        )
    if not program(layout).exists():
        _install(layout)
    wanted = {"LAKE_ENDPOINT": f"http://127.0.0.1:{values.get('STORE_S3_PORT', FIRST_PORT)}"}
    wanted |= {name: secrets.token_urlsafe(24) for name in OWN if name.endswith("_KEY")}
    is_lake = any(table.exists() for table in lake_of(layout, values).tables) if not holds_lake(layout) else False
    if "LAKE_URL" not in values and not is_lake:
        wanted["LAKE_URL"] = URL
    if missing := {name: value for name, value in wanted.items() if name not in values}:
        change_env(layout, missing)
    if is_lake:
        say(
            f"  the lake stays in {lake_of(layout, values).url}. To move it into the store: ./scripts/stop.sh, "
            f"./scripts/start.sh --base, ./scripts/tieout lake move --to {URL} --switch, ./scripts/start.sh"
        )


def _install(layout: Layout) -> None:
    command = [str(layout.checkout / "scripts" / "setup.sh"), "--store"]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise TieoutError(
            "the object store could not be installed; the message is above.",
            "nothing was started.",
            "./scripts/setup.sh --store",
        )


def _take_away(layout: Layout) -> None:
    """Forget address and keys of the store; refuse where the lake is in it."""
    values = read_env(layout.env_file)
    if is_elsewhere(values):
        return
    if holds_lake(layout) and (folder(layout) / "objects").exists():
        raise TieoutError(
            "the lake of this home is in its own store, which would no longer run.",
            "nothing was started or changed.",
            "./scripts/stop.sh, ./scripts/start.sh --base, ./scripts/tieout lake move --to file:data --switch, "
            "then the same command again",
        )
    gone = (*OWN, "LAKE_URL") if holds_lake(layout) else OWN
    change_env(layout, {name: "" for name in gone if name in values})


PROFILE = Profile(about="an S3 store on this machine, and the lake in it", set_up=_set_up, take_away=_take_away)
