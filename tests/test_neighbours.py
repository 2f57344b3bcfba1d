"""What another account of the machine, each database role and each Kafka user may do is what reliability.md says.

The tables of the document are the expectation: whatever is possible and is not in them is red.
"""

import fnmatch
import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from control.env import SECRETS
from control.registry import roles_of
from control.roles import dsn
from core.kafka_login import librdkafka_login
from core.layout import CHECKOUT

pytestmark = pytest.mark.services

NOBODY = 65534
# Tries, as the account that it runs as, every path that it is given: what it may list, read or write.
TRY = r"""
import json, os, stat, sys
found = {}
for path in json.load(sys.stdin):
    can = []
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        continue
    if stat.S_ISDIR(mode):
        for name, attempt in (("list", lambda: os.listdir(path)), ("write", lambda: os.mkdir(path + "/.neighbour"))):
            try:
                attempt(); can.append(name)
            except OSError:
                pass
    elif stat.S_ISREG(mode):
        for name, flags in (("read", os.O_RDONLY), ("write", os.O_WRONLY)):
            try:
                os.close(os.open(path, flags)); can.append(name)
            except OSError:
                pass
    if can:
        found[path] = can
print(json.dumps(found))
"""


def table(title: str) -> list[list[str]]:
    """Return the rows of the table under a heading of the document, without its head."""
    text = (CHECKOUT / "docs" / "reliability.md").read_text(encoding="utf-8")
    part = text.split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    assert len(rows) > 2
    return rows[2:]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def listening(platform: Any) -> dict[int, str]:
    """Return each port on which a process of the platform listens, with that process's command line."""
    found = {}
    for process in platform.processes():
        try:
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN:
                    assert each.laddr.ip in {"127.0.0.1", "::ffff:127.0.0.1"}
                    found[each.laddr.port] = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
    return found


def secrets_of(platform: Any) -> list[str]:
    return [platform.settings[name] for name in SECRETS]


def get(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account for a while")
def test_another_account_reads_below_the_home_what_the_table_says(platform: Any) -> None:
    home = platform.home
    paths = [str(home), *(str(path) for path in home.rglob("*"))]
    assert len(paths) > 1000
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", TRY], input=json.dumps(paths), capture_output=True, text=True, check=True,
        user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
    )  # fmt: skip
    found = {os.path.relpath(path, home): can for path, can in json.loads(done.stdout).items()}
    assert found["."] == ["list"]
    allowed = [(pattern, quoted(row[1])) for row in table("Files") for pattern in quoted(row[0])]
    more = {
        path: can
        for path, can in found.items()
        if not any(fnmatch.fnmatchcase(path, pattern) and set(can) <= set(may) for pattern, may in allowed)
    }
    assert more == {}, json.dumps(more)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account for a while")
def test_another_account_sees_no_secret_of_a_process(platform: Any) -> None:
    secrets, processes = secrets_of(platform), platform.processes()
    assert len(processes) > 10
    for process in processes:
        try:
            words = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        assert not [secret for secret in secrets if secret in words]
        done = subprocess.run(
            ["/bin/cat", f"/proc/{process.pid}/environ"], capture_output=True, check=False, user=NOBODY, group=NOBODY,
            extra_groups=[],
        )  # fmt: skip
        assert done.stdout == b""


def test_every_port_is_in_the_table_and_none_tells_a_secret(platform: Any) -> None:
    ports = listening(platform)
    named = {platform.settings[name]: name for row in table("Ports") for name in quoted(row[0]) if name.isupper()}
    assert set(named) <= {str(port) for port in ports}
    rest = {port: command for port, command in ports.items() if str(port) not in named}
    # Spark's own: each asks for a secret that the stream draws anew at each start.
    assert len(rest) >= 3
    assert not [
        command for command in rest.values() if "SparkSubmit" not in command and "control stream" not in command
    ]
    secrets = secrets_of(platform)
    for port in ports:
        for words in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"c\np0\ncall\ne\n", b"\x00" * 64):
            answer = ask(port, words)
            assert not [secret for secret in secrets if secret.encode() in answer]


def ask(port: int, words: bytes) -> bytes:
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as stranger:
            stranger.settimeout(2)
            stranger.sendall(words)
            while chunk := stranger.recv(65536):
                answer += chunk
    except OSError:
        pass
    return answer


def test_the_port_on_which_python_answers_java_answers_nobody_else(platform: Any) -> None:
    callbacks = [port for port, command in listening(platform).items() if "control stream" in command]
    assert callbacks
    for port in callbacks:
        for words in (b"c\np0\ncall\ni0\ni1\ne\n", b"g\np0\ne\n", b"A\nwrong\ne\n"):
            assert not ask(port, words).startswith(b"!y")
    assert platform.json("run")["ok"]


def test_sparks_page_shows_and_neither_tells_nor_does_anything(platform: Any) -> None:
    base, secrets = f"http://127.0.0.1:{platform.settings['SPARK_UI_PORT']}", secrets_of(platform)
    status, applications = get(f"{base}/api/v1/applications")
    assert status == 200
    api = f"/api/v1/applications/{json.loads(applications)[0]['id']}"
    shown = [get(base + path) for path in ("/jobs/", "/environment/", "/SQL/", "/StreamingQuery/", "/executors/")]
    shown += [get(f"{base}{api}/{path}") for path in ("environment", "sql?details=true", "jobs")]
    assert [status for status, _ in shown] == [200] * len(shown)
    assert ["spark.ui.killEnabled", "false"] in json.loads(shown[5][1])["sparkProperties"]
    assert not [secret for secret in secrets for _, text in shown if secret in text]
    assert "kill" not in shown[0][1]
    for path in ("/jobs/job/kill/?id=0", "/stages/stage/kill/?id=0"):
        for method in ("GET", "POST"):
            assert get(base + path, method)[0] == 200  # led back to the page
    assert platform.json("status")["ok"]


def test_pages_that_show_payments_ask_who_is_there(platform: Any) -> None:
    settings = platform.settings
    dashboard = f"http://127.0.0.1:{settings['DASHBOARD_PORT']}"
    assert [get(dashboard + path)[0] for path in ("/", "/live", "/_stcore/host-config")] == [401] * 3
    airflow = f"http://127.0.0.1:{settings['AIRFLOW_PORT']}"
    for path in ("/api/v2/dags", "/api/v2/connections", "/api/v2/variables", "/api/v2/config"):
        assert get(airflow + path)[0] in {401, 403}


RIGHTS = """
with tables as (
    select n.nspname as schema, c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm') and n.nspname !~ '^(pg_|information_schema)'
)
select schema, p from tables, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p
where has_schema_privilege(%(role)s, schema, 'USAGE') and (has_table_privilege(%(role)s, oid, p)
    or (p in ('SELECT', 'INSERT', 'UPDATE') and has_any_column_privilege(%(role)s, oid, p)))
union
select nspname, 'CREATE' from pg_namespace
where nspname !~ '^pg_(temp|toast)' and has_schema_privilege(%(role)s, oid, 'CREATE')
"""


def test_each_role_has_the_rights_that_the_table_says(platform: Any) -> None:
    allowed = {row[0].strip("`"): row[1:] for row in table("Roles of the database")}
    assert set(allowed) == {role.name for role in roles_of()}
    with psycopg.connect(dsn(platform.settings, "postgres"), autocommit=True) as superuser:
        for role, cells in allowed.items():
            may = {tuple(each.split(".")) for cell in cells for each in quoted(cell)}
            found = set(superuser.execute(RIGHTS, {"role": role}).fetchall())
            assert bool(found) == (role not in {"airflow", "stream"})
            assert {f"{schema}.{right}" for schema, right in found} == {".".join(each) for each in may}, role
            attributes = superuser.execute(
                "select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"
                " exists (select from pg_auth_members where member = pg_roles.oid) from pg_roles where rolname = %s",
                [role],
            ).fetchone()
            assert attributes == (False,) * 6


READER_MAY_NOT = [
    "select pg_advisory_lock(119228216407410)",
    "select pg_try_advisory_lock(1, 2)",
    "select pg_advisory_xact_lock_shared(1)",
    "select pg_advisory_unlock_all()",
    "select lo_from_bytea(0, 'x')",
    "select lo_create(0)",
    "select pg_notify('a', 'b')",
    "select pg_logical_emit_message(false, 'a', 'b')",
    "select pg_export_snapshot()",
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'reader'",
    "set temp_file_limit = -1",
    "create temporary table mine (x int)",
    "create table marts.mine (x int)",
    "alter role reader connection limit 99",
    "alter role reader reset temp_file_limit",
    "copy (select 1) to program 'true'",
    "select pg_read_file('postgresql.conf')",
    "select * from pg_authid",
    "select control.give_way()",
    "alter system set authentication_timeout = '60s'",
]


@pytest.mark.parametrize("statement", READER_MAY_NOT)
def test_the_reader_neither_locks_nor_writes_nor_ends_anything(platform: Any, statement: str) -> None:
    with psycopg.connect(dsn(platform.settings, "reader"), autocommit=True) as reader:
        reader.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(statement)


def test_locks_are_for_the_roles_that_lock_in_every_database(platform: Any) -> None:
    question = (
        "select count(*), bool_or(has_function_privilege('public', oid, 'execute')),"
        " bool_or(has_function_privilege('reader', oid, 'execute')),"
        " bool_and(has_function_privilege('loader', oid, 'execute'))"
        " from pg_proc where proname like 'pg%advisory%'"
    )
    for database in (platform.settings["POSTGRES_DB"], "airflow", "postgres", "template1"):
        with psycopg.connect(dsn(platform.settings, "postgres", database), autocommit=True) as superuser:
            count, public, reader, loader = superuser.execute(question).fetchone() or (0, None, None, None)
        assert count > 20
        assert (public, reader, loader) == (False, False, True), database


def test_each_kafka_user_has_the_rights_that_the_table_says(platform: Any) -> None:
    settings = platform.settings
    admin = AdminClient(librdkafka_login(settings["KAFKA_BOOTSTRAP"], "admin", settings["KAFKA_PASSWORD_ADMIN"]))
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    found: dict[str, set[str]] = {}
    for acl in admin.describe_acls(everything).result(30):
        assert acl.permission_type == AclPermissionType.ALLOW
        user = acl.principal.removeprefix("User:")
        found.setdefault(user, set())
        if acl.restype == ResourceType.TOPIC:
            found[user].add(f"{acl.operation.name} {acl.name}")
        else:
            assert (acl.restype, acl.name) == (ResourceType.GROUP, f"{user}-")
    assert found == {row[0].strip("`"): set(quoted(row[1])) for row in table("Users of the broker")}


def test_no_connection_leaves_the_machine(platform: Any) -> None:
    ours = platform.processes()
    far = {
        each.raddr.ip
        for process in ours
        if process.is_running()
        for each in _connections(process)
        if each.raddr and not each.raddr.ip.startswith(("127.", "::ffff:127.", "::1"))
    }
    assert far == set()


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections("inet"))
    except psutil.NoSuchProcess:
        return []


def test_the_home_of_the_tests_has_a_blank_and_a_letter_that_is_not_ascii(platform: Any) -> None:
    assert " " in platform.home.name
    assert not platform.home.name.isascii()
    assert isinstance(platform.home, Path)
