"""The one place that knows the process manager: its configuration, how it is asked, started and stopped."""

import contextlib
import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from control import orphans
from control.accounts import own_file
from control.orphans import folder
from control.processes import Process
from core.errors import TieoutError
from core.layout import Layout

HEAD = """\
[unix_http_server]
file={socket}
chmod=0600

[supervisord]
{user}umask=077
pidfile={run}/supervisord.pid
logfile={logs}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
nocleanup=true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket}
"""

# Whatever ends is started again, but for one that says that a person has to decide (RefusalError).
PROGRAM = """
[program:{name}]
command={command}
environment={environment}
directory=/
{user}autostart=false
autorestart=unexpected
exitcodes=78
startsecs=2
startretries=20
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


def socket_path(layout: Layout) -> Path:
    """Return the supervisor's socket; a path that is too long for a socket stands in the temporary folder instead."""
    path = folder(layout) / "supervisor.sock"
    if len(str(path)) < 90:  # 107 bytes is the kernel's limit, and supervisor adds its pid while it makes it
        return path
    name = hashlib.sha256(str(layout.home).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"tieout-{os.geteuid()}-{name}.sock"


def render_configuration(layout: Layout, services: Iterable[Process]) -> str:
    """Return the configuration; it holds each service's secrets, so it is its owner's alone."""
    processes = list(services)
    user = "user=root\n" if os.geteuid() == 0 else ""
    logs = _plain(layout.logs)
    parts = [HEAD.format(socket=_plain(socket_path(layout)), run=_plain(folder(layout)), logs=logs, user=user)]
    for process in processes:
        environment = ",".join(f'{name}="{_plain(value)}"' for name, value in process.supervised_environment.items())
        parts.append(
            PROGRAM.format(
                name=process.name,
                command=_plain(shlex.join(process.command)),
                environment=environment,
                user=f"user={process.user}\n" if process.user else "",
                stop_signal=process.service.stop_signal,
                stop_seconds=process.service.stop_seconds,
                logs=_plain(logs),  # expanded twice
            )
        )
    groups = {each.service.supervisor_group: int(each.service.group) for each in processes}
    for group, priority in sorted(groups.items(), key=lambda item: item[1]):
        members = ",".join(each.name for each in processes if each.service.supervisor_group == group)
        parts.append(f"\n[group:{group}]\nprograms={members}\npriority={priority}\n")
    return "".join(parts)


# What would begin a comment in the configuration comes out of the supervisor's own environment.
COMMENT_SIGNS = {"TIEOUT_HASH": "#", "TIEOUT_SEMICOLON": ";"}


def _plain(value: object) -> str:
    text = str(value).replace("%", "%%")
    for name, sign in COMMENT_SIGNS.items():
        text = text.replace(sign, f"%(ENV_{name})s")
    return text


def ask(layout: Layout) -> Any:
    """Return the supervisor's interface; a call on it raises OSError when none runs."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{socket_path(layout)}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor


def running(layout: Layout) -> bool:
    """Say whether this home's supervisor answers."""
    try:
        return bool(ask(layout).getState()["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error):
        return False


def launch(layout: Layout, services: Iterable[Process]) -> None:
    """Reap what an earlier supervisor left, and start one with these services, none of them running yet.

    Raises:
        TieoutError: it does not answer within 20 seconds.
    """
    orphans.reap(layout)
    configuration = folder(layout) / "supervisord.conf"
    own_file(configuration, render_configuration(layout, services), None)
    program = Path(sys.executable).with_name("supervisord")
    bare = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **COMMENT_SIGNS}
    command = [str(program), "-c", str(configuration)]
    # The supervisor's own log is begun before the supervisor has set its umask.
    done = subprocess.run(command, env=bare, cwd="/", capture_output=True, text=True, check=False, umask=0o077)
    deadline = time.monotonic() + 20
    while not running(layout):
        if done.returncode != 0 or time.monotonic() > deadline:
            raise TieoutError(
                f"supervisord does not answer: {_without_values(done.stderr or done.stdout) or 'no message'}",
                "no service runs.",
                f"read {layout.logs / 'supervisord.log'}, then ./scripts/start.sh again",
            )
        time.sleep(0.1)
    pid = ask(layout).getPID()
    orphans.remember(layout, pid)
    give_way(pid)


def _without_values(text: str) -> str:
    """Return what the supervisor says in one line, without what it quotes: a line of its configuration has secrets."""
    return re.sub(r"'.*'|\".*\"", "(not shown)", " ".join(text.split()))


def give_way(pid: int) -> None:
    """Let a session give way to others as a whole, where Linux shares the processors among sessions (autogroup).

    In the supervisor's are the services that work in batches; what somebody waits for has sessions of its own.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text("10", encoding="ascii")


def shut_down(layout: Layout) -> None:
    """Stop every service and the supervisor, and reap whatever did not go by itself."""
    if running(layout):
        pid = ask(layout).getPID()
        ask(layout).shutdown()
        orphans.wait_for_end(pid, seconds=120)
    orphans.reap(layout)


def start_service(layout: Layout, service: Process) -> None:
    """Start one service that does not run; does not wait for it.

    Raises:
        TieoutError: it could not be started.
    """
    try:
        ask(layout).startProcess(service.supervised_name, False)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:
            raise TieoutError(
                f"{service.name} could not be started: {fault.faultString}",
                "the other services are as they were.",
                f"./scripts/tieout logs {service.name}",
            ) from fault


def stop_service(layout: Layout, service: Process) -> None:
    """Stop one service and wait for its end; one that does not run stays so."""
    try:
        ask(layout).stopProcess(service.supervised_name, True)
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise


def process_states(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return what the supervisor says of each service: statename, pid, start, now, spawnerr. Empty when it is down."""
    try:
        return {str(info["name"]): info for info in ask(layout).getAllProcessInfo()}
    except (OSError, xmlrpc.client.Error):
        return {}


def stream_is_supervised(layout: Layout) -> bool:
    """Say whether the supervisor keeps a stream alive: it runs, or is being started again."""
    state = process_states(layout).get("stream", {}).get("statename")
    return state in {"RUNNING", "STARTING", "BACKOFF"}


def refresh(layout: Layout, services: Iterable[Process]) -> bool:
    """Bring a running supervisor to a configuration that changed; groups that did not change keep running.

    Returns:
        whether something changed.

    Raises:
        TieoutError: the supervisor refuses it, as it does when the folder was renamed since it started.
    """
    configuration, wanted = folder(layout) / "supervisord.conf", render_configuration(layout, services)
    if configuration.exists() and configuration.read_text(encoding="utf-8") == wanted:
        return False
    own_file(configuration, wanted, None)
    try:
        supervisor = ask(layout)
        ((added, changed, removed),) = supervisor.reloadConfig()
        for group in (*changed, *removed):
            supervisor.stopProcessGroup(group, True)
            supervisor.removeProcessGroup(group)
        for group in (*changed, *added):
            supervisor.addProcessGroup(group)
    except xmlrpc.client.Fault as fault:
        configuration.unlink(missing_ok=True)
        raise TieoutError(
            f"the supervisor does not take the new configuration: {_without_values(fault.faultString)}",
            "the services that ran go on as they were set before.",
            "./scripts/stop.sh, then ./scripts/start.sh",
        ) from None
    except BaseException:
        configuration.unlink()  # so that the next start does what this one was kept from
        raise
    return True
