"""A database elsewhere: Debian's PostgreSQL with TLS, and pgbouncer. The platform needs neither; these tests do."""

import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from certificates import Authority

from control.env import ensure_env
from control.roles import dsn, wait_for_postgres
from control.testing import free_ports, temporary_home
from core.errors import RefusalError
from core.layout import CHECKOUT, find_layout
from core.pooler import open_session
from core.settings import Settings
from live.engine import connect
from warehouse import load

pytestmark = [pytest.mark.services, pytest.mark.slow]
ROLES = ("postgres", "reader", "dbt")


def needed(*programs: str) -> None:
    missing = [name for name in programs if shutil.which(name) is None and not Path(name).exists()]
    if missing:
        words = f"NOT TRIED, a database elsewhere: apt-get install postgresql pgbouncer ({', '.join(missing)} missing)"
        warnings.warn(words, stacklevel=2)
        pytest.skip(words)


def as_postgres(*command: str | Path) -> list[str]:
    """Neither server runs as root."""
    return [*(("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()),
            *map(str, command)]  # fmt: skip


def owned(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "postgres:postgres", str(folder)], check=True)
    return folder


def answers(address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(address).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with temporary_home("tieout-certificates-") as folder:
        made = Authority.made(folder / "authority")
        for role in ROLES:
            made.sign(role)
        yield made


@pytest.fixture(scope="module")
def elsewhere(authority: Authority) -> Iterator[dict[str, str]]:
    """Yield the settings of a server that takes connections with TLS alone, each with a client certificate."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    needed(str(found[-1]) if found else "/usr/lib/postgresql/*/bin/initdb", "openssl")
    programs = found[-1].parent
    with temporary_home("tieout-postgres-") as home:
        data = owned(home / "data")
        word = home / "password"
        word.write_text("hush")
        word.chmod(0o644)
        create = (programs / "initdb", "-D", data, "-U", "postgres", f"--pwfile={word}", "-A", "scram-sha-256")
        subprocess.run(as_postgres(*create), check=True, capture_output=True)
        authority.sign("server", hosts="DNS:localhost,IP:127.0.0.1")
        for name in ("server.crt", "server.key", "ca.crt"):
            shutil.copy(authority.folder / name, data / name)
        (port,) = free_ports(1)
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n")
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nssl = on\n"
                       "ssl_ca_file = 'ca.crt'\n")  # fmt: skip
        owned(data)
        (data / "server.key").chmod(0o600)
        server = subprocess.Popen(as_postgres(programs / "postgres", "-D", data), stderr=subprocess.DEVNULL)
        values = {f"POSTGRES_PASSWORD_{role.upper()}": "hush" for role in ROLES}
        values |= {"POSTGRES_HOST": "localhost", "POSTGRES_PORT": str(port), "POSTGRES_DB": "postgres"}
        values |= {"POSTGRES_SSLMODE": "verify-full", "POSTGRES_CA_FILE": str(authority.file)}
        folder = authority.folder
        values |= {"POSTGRES_CERTIFICATE_FILE": f"{folder}/{{role}}.crt", "POSTGRES_KEY_FILE": f"{folder}/{{role}}.key"}
        try:
            answers(dsn(values, "postgres"))
            with psycopg.connect(dsn(values, "postgres"), autocommit=True) as superuser:
                for role in ROLES[1:]:
                    superuser.execute(f"create role {role} login password 'hush'")
            yield values
        finally:
            server.terminate()
            server.wait()


def settings_of(values: dict[str, str]) -> Settings:
    return Settings(**{name.lower(): value for name, value in values.items()})  # type: ignore[arg-type]


def is_encrypted(address: str) -> bool:
    with psycopg.connect(address) as connection:
        row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    return bool(row and row[0])


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_every_driver_logs_in_with_tls_and_a_certificate(elsewhere: dict[str, str], mode: str) -> None:
    values = {**elsewhere, "POSTGRES_SSLMODE": mode}
    wait_for_postgres(values, 5)
    assert is_encrypted(dsn(values, "postgres"))
    assert is_encrypted(settings_of(values).dsn("reader"))
    profile = CHECKOUT / "transformation"
    dbt = find_layout().environments / "dbt" / "bin" / "dbt"
    done = subprocess.run(
        [dbt, "--no-use-colors", "debug", "--connection", "--project-dir", profile, "--profiles-dir", profile],
        env={**os.environ, **values}, capture_output=True, text=True, check=False, cwd="/tmp",
    )  # fmt: skip
    assert "Connection test: [OK connection ok]" in done.stdout, done.stdout


def test_tieout_sql_uses_a_client_that_has_tls(elsewhere: dict[str, str], tmp_path: Path) -> None:
    needed("psql")
    layout = find_layout({"TIEOUT_HOME": str(tmp_path / "home")})
    ensure_env(layout)
    asked = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "control", "sql", asked],
        env={**os.environ, **elsewhere, "TIEOUT_HOME": str(layout.home)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert " t\n" in done.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"POSTGRES_SSLMODE": "disable"}, "no pg_hba.conf entry"),
     ({"POSTGRES_CERTIFICATE_FILE": "{other}", "POSTGRES_KEY_FILE": "{other}"}, "authentication failed"),
     ({"POSTGRES_CA_FILE": "{foreign}"}, "certificate verify failed"),
     ({"POSTGRES_HOST": "elsewhere.example"}, "does not match host name")],
)  # fmt: skip
def test_what_is_wrong_is_told_by_the_driver(
    elsewhere: dict[str, str], authority: Authority, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    values = {**elsewhere, **changes}
    if "{foreign}" in changes.values():
        values["POSTGRES_CA_FILE"] = str(Authority.made(tmp_path / "foreign").file)
    if "{other}" in changes.values():
        values["POSTGRES_CERTIFICATE_FILE"], values["POSTGRES_KEY_FILE"] = (
            str(authority.certificate("dbt")),
            str(authority.key("dbt")),
        )
    address = settings_of(values).dsn("reader")
    address = address.replace("host=elsewhere.example", "host=elsewhere.example hostaddr=127.0.0.1")
    with pytest.raises(psycopg.OperationalError, match=words):
        psycopg.connect(address)


@pytest.fixture
def pooled(services: Any, tmp_path: Path) -> Iterator[Any]:
    """Return a function that starts pgbouncer before the platform's database and returns the settings for it."""
    needed("pgbouncer")
    running: list[subprocess.Popen[bytes]] = []
    folders: list[Path] = []

    def start(mode: str, **more: str) -> dict[str, str]:
        (port,) = free_ports(1)
        env = services.env
        folder = Path(f"/tmp/tieout-pgbouncer-{port}")
        folders.append(owned(folder))
        roles = ("loader", "dbt", "live", "reader", "postgres", "redrive")
        lines = [f'"{role}" "{env[f"POSTGRES_PASSWORD_{role.upper()}"]}"' for role in roles]
        (folder / "users").write_text("\n".join(lines))
        server = f"host={env['POSTGRES_HOST']} port={env['POSTGRES_PORT']}"
        options = {"pool_mode": mode, "listen_addr": "127.0.0.1", "listen_port": str(port),
                   "auth_type": "scram-sha-256",
                   "auth_file": str(folder / "users"), "unix_socket_dir": "", "ignore_startup_parameters": "options",
                   **more}  # fmt: skip
        text = "".join(f"{name} = {value}\n" for name, value in options.items())
        (folder / "ini").write_text(f"[databases]\n* = {server}\n[pgbouncer]\n{text}")
        owned(folder)
        running.append(subprocess.Popen(as_postgres(shutil.which("pgbouncer") or "", folder / "ini"),
                                        stderr=subprocess.DEVNULL))  # fmt: skip
        values = {**env, "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(port)}
        answers(dsn(values, "reader"))
        return values

    yield start
    for process in running:
        process.terminate()
        process.wait()
    for folder in folders:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "more", [{}, {"default_pool_size": "1"}, {"server_round_robin": "1"}, {"server_reset_query_always": "1"}]
)
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_lends_sessions_is_refused_with_words(pooled: Any, mode: str, more: dict[str, str]) -> None:
    if mode == "statement" and "default_pool_size" in more:
        pytest.skip("the same as without")
    values = pooled(mode, **more)
    settings = settings_of({name: value for name, value in values.items() if name in _known()})
    for role in ("loader", "dbt", "live", "redrive"):
        with pytest.raises(RefusalError, match="gives each transaction another session"):
            open_session(settings.dsn(role))


def test_each_writer_and_the_start_refuse_it(pooled: Any, services: Any) -> None:
    values = pooled("transaction")
    settings = settings_of({name: value for name, value in values.items() if name in _known()})
    with pytest.raises(RefusalError, match="pooler"):
        wait_for_postgres(values, 5)
    with pytest.raises(RefusalError, match="pooler"):
        connect(settings)
    with pytest.raises(RefusalError, match="pooler"):
        load._connect(settings)


def test_a_pooler_that_refuses_a_sessions_settings_is_named(pooled: Any) -> None:
    values = pooled("session", ignore_startup_parameters="extra_float_digits")
    settings = settings_of({name: value for name, value in values.items() if name in _known()})
    with pytest.raises(RefusalError, match="with which a session begins"):
        connect(settings)


@pytest.mark.parametrize("more", [{}, {"default_pool_size": "1"}])
def test_a_pooler_that_keeps_sessions_is_let_be(pooled: Any, more: dict[str, str]) -> None:
    values = pooled("session", **more)
    settings = settings_of({name: value for name, value in values.items() if name in _known()})
    open_session(settings.dsn("loader")).close()


def _known() -> set[str]:
    return {name.upper() for name in Settings.model_fields}
