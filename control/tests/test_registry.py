"""A service is one file: a dummy that is written beside the real ones is seen by all that iterate over them."""

import configparser
import json
import stat
import subprocess
import sys
import textwrap
from pkgutil import iter_modules

import psycopg
import pytest
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
)
from typer.testing import CliRunner

import control.services
from contracts.entities import load_entities
from control import airflow_rest, registry, start, status, supervision
from control.accounts import Accounts
from control.bring_up import bring_up_base, make_folders, prepare
from control.cli import app
from control.env import DEFAULTS, change_env, ensure_env, lake_of, read_env, settings
from control.logins import refused_logins
from control.ports import listening, settle_ports
from control.processes import Platform
from control.profiles import choose_profiles
from control.readiness import ServiceStates, inspect_services
from control.roles import dsn
from control.service import Acl
from control.services import postgres
from control.start import show_addresses
from control.status import read_status
from control.stop import _delete
from control.testing import temporary_platform
from control.topics import administrator, rights
from core.errors import OptionError, TieoutError
from core.layout import find_layout

ECHO = """
    from control.service import *

    SERVICE = Service(
        name="echo-server",
        place=60,
        command=lambda platform: ("echo-server", "--port", platform.settings["ECHO_PORT"]),
        knows=("KAFKA_BOOTSTRAP", "ECHO_KEY", "KAFKA_PASSWORD_ECHO"),
        adds={"ECHO_PORT": "21901", "ECHO_KEY": None},
        ports=("ECHO_PORT",),
        waits_for=("kafka",),
        priority=BATCH,
        stop_signal="QUIT",
        stop_seconds=7,
        follows=lambda settings: {"SPARK_MASTER": "echo://127.0.0.1:" + settings["ECHO_PORT"]},
        check=lambda layout, settings, info: "it is deaf" if info["now"] < 10 else None,
        reports=lambda settings: {"lineage": "is out of tune"},
        url=lambda settings: "http://127.0.0.1:" + settings["ECHO_PORT"],
        addresses=lambda platform: [Address("echo", "http://127.0.0.1:" + platform.settings["ECHO_PORT"], "nobody")],
        folders=lambda layout, _: [Folder(layout.state / "echo"), Folder(layout.data / "said", kept=True)],
        users=(KafkaUser("echo", lambda contract: [Acl("READ", "echo.", prefixed=True)]),),
        roles=(Role("echo", 2, database="echoes", owns_database=True),),
    )
"""
BROKER = """
    from dataclasses import replace
    from control.services import kafka

    SERVICE = replace(kafka.SERVICE, command=lambda _: ("another-broker",))
"""


@pytest.fixture
def layout(tmp_path):
    return find_layout({"TIEOUT_HOME": str(tmp_path / "home")})


@pytest.fixture
def more(tmp_path, monkeypatch):
    """Write files as if they were in `control/services/`; they are forgotten after the test."""
    folder = tmp_path / "services"
    folder.mkdir()
    monkeypatch.setattr(control.services, "__path__", [*control.services.__path__, str(folder)])
    real = set(registry.profile_names())
    monkeypatch.setattr(registry, "iter_modules", lambda path: [e for e in iter_modules(path) if e.name not in real])
    known = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            path = folder.joinpath(*name.split("__", 1)).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def profile(name, text="", **files):
        write(**{f"{name}____init__": f"from control.service import Profile\nPROFILE = Profile('test'{text})\n"})
        write(**{f"{name}__{file}": each for file, each in files.items()})

    write.profile = profile
    yield write
    for name in set(sys.modules) - known:
        if name.startswith("control.services."):
            del sys.modules[name]
            if name.count(".") == 2:
                vars(control.services).pop(name.rpartition(".")[2], None)
    registry._services.cache_clear()


def _platform(layout):
    return Platform(layout, Accounts("someone", "another", layout.postgres_data, layout.state), settings(layout))


@pytest.fixture(params=["plain", "profile"])
def echo(request, more, layout):
    """Return the supervisor's group of the dummy, which is always there, or comes with a profile."""
    if request.param == "plain":
        more(echo_server=ECHO)
    else:
        more.profile("sound", echo_server=ECHO)
        layout.state.mkdir(parents=True)
        choose_profiles(layout, ["sound"], [])
    ensure_env(layout)
    return {"plain": "jobs", "profile": "sound-jobs"}[request.param]


def test_a_service_of_one_file_is_in_the_supervisors_configuration(echo, layout):
    platform = _platform(layout)
    process = platform.services["echo-server"]
    secrets = {process.environment[name] for name in ("ECHO_KEY", "KAFKA_PASSWORD_ECHO")}
    assert {len(secret) for secret in secrets} == {32}
    assert "POSTGRES_PASSWORD_ECHO" not in process.environment
    parsed = configparser.RawConfigParser()
    parsed.read_string(supervision.render_configuration(layout, platform.services.values()))
    program, group = parsed["program:echo-server"], parsed[f"group:{echo}"]
    assert program["command"].endswith("SIGQUIT nice:10 tcp:9092 -- echo-server --port 21901")
    assert (program["stopsignal"], program["stopwaitsecs"], program["user"]) == ("QUIT", "7", "someone")
    assert "echo-server" in group["programs"].split(",")
    assert group["priority"] == parsed["group:jobs"]["priority"]
    assert process.supervised_name == f"{echo}:echo-server"


def test_a_service_of_one_file_has_a_port_an_address_and_a_row(echo, layout, capsys):
    platform = _platform(layout)
    assert "ECHO_PORT" in listening(platform.registered)
    moved = settle_ports({**platform.settings, "DOCS_PORT": "21901"}, services=platform.registered)
    assert int(moved["ECHO_PORT"]) > 21901, "the lineage site was promised that port first"
    assert moved["SPARK_MASTER"] == f"echo://127.0.0.1:{moved['ECHO_PORT']}"
    row = read_status(layout)["services"][-1]
    assert row == {"name": "echo-server", "state": "stopped", "url": "http://127.0.0.1:21901", "seconds_up": None}
    show_addresses(platform)
    said = capsys.readouterr().err.splitlines()
    place = next(number for number, line in enumerate(said) if line.split() == ["echo", row["url"], "nobody"])
    assert said[place + 1].startswith("lake")


def test_a_service_of_one_file_has_its_rights(echo, layout, tmp_path):
    platform = _platform(layout)
    assert rights(load_entities(), platform.registered)["echo"] == [
        Acl("READ", "echo.", prefixed=True),
        Acl("READ", "echo-", "GROUP", prefixed=True),
    ]
    accounts = Accounts(None, None, tmp_path, tmp_path)
    roles = registry.roles_of(platform.registered)
    assert postgres._write_host_rules(accounts, platform.settings, roles)
    assert 'host "echoes" echo 127.0.0.1/32 scram-sha-256\n' in (tmp_path / "pg_hba.conf").read_text()
    assert not postgres._write_host_rules(accounts, platform.settings, roles), "the same again is no news"


def test_a_service_of_one_file_is_asked_whether_it_is_ready(echo, layout):
    states = {"echo-server": {"statename": "RUNNING", "now": 9, "start": 0}}
    found = ServiceStates(layout, settings(layout), states, frozenset(), set())
    assert found.problem("echo-server") == "nothing answers on 127.0.0.1:21901"
    found = ServiceStates(layout, settings(layout), states, frozenset({21901}), set())
    assert found.foreign_ports("echo-server") == ["ECHO_PORT"]
    found = ServiceStates(layout, settings(layout), states, frozenset({21901}), {21901})
    assert found.problem("echo-server") == "it is deaf"
    states["echo-server"]["now"] = 10
    assert found.problem("echo-server") is None


def test_what_a_service_says_of_others_is_in_their_rows_and_the_demo_may_be_stopped(echo, layout, monkeypatch):
    values = settings(layout)
    running = {"statename": "RUNNING", "now": 1000, "start": 0, "pid": 1}
    services = _platform(layout).services
    states = {
        name: {"statename": "STOPPED"} if each.service.is_optional else running for name, each in services.items()
    }
    ports = {int(values[name]) for name in listening(registry.services_of(layout))}
    seen = ServiceStates(layout, values, states, frozenset(ports), ports)
    monkeypatch.setattr(ServiceStates, "problem", lambda *_: None)
    monkeypatch.setattr(status, "inspect_services", lambda *_: seen)
    monkeypatch.setattr(status, "read_stations", lambda *_: [])
    monkeypatch.setattr(airflow_rest.Rest, "health", lambda _: {"scheduler": "unhealthy"})
    found = read_status(layout)
    wrong = {row["name"]: row["error"] for row in found["services"] if "error" in row}
    assert wrong == {
        "lineage": "is out of tune; if that lasts: ./scripts/tieout logs lineage",
        "airflow-scheduler": "no heartbeat; if that lasts: ./scripts/tieout logs airflow-scheduler",
    }
    assert not found["ok"]
    monkeypatch.setattr(status, "_take_reports", lambda *_: None)
    assert {row["name"] for row in read_status(layout)["services"] if row["state"] == "stopped"} == {"producer"}
    assert read_status(layout)["ok"]


def test_the_folders_of_a_service_are_its_own_and_go_with_a_reset(echo, layout):
    accounts = Accounts(None, None, layout.postgres_data, layout.state / "postgres-runtime")
    make_folders(layout, accounts, lake_of(layout, settings(layout)))
    state, said = layout.state / "echo", layout.data / "said"
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (state, said)] == [0o700] * 2
    _delete(layout, accounts)
    assert (state.exists(), said.exists()) == (False, True)


def test_a_port_of_a_service_of_one_file_is_a_port(echo, layout):
    change_env(layout, {"ECHO_PORT": "8_0"})
    with pytest.raises(TieoutError, match="ECHO_PORT is not as it should be: a port is a number from 1 to 65535"):
        settings(layout)


def _helped(*words):
    command = "from control.cli import build_app; import sys; sys.argv[0] = 'tieout'; build_app()()"
    code = f"import control.services; control.services.__path__[:] = {control.services.__path__!r}; {command}"
    done = subprocess.run([sys.executable, "-P", "-c", code, *words], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.replace("│", " ").split())


def test_help_names_services_and_profiles_and_reads_no_profile(more):
    more(echo_server=ECHO)
    more.profile("sound", loud="raise AssertionError('read')")
    assert "one of cluster, store, sound." in _helped("start", "--help")
    names = _helped("logs", "--help")
    assert "echo-server" in names
    assert "loud" in names


def test_a_home_without_profiles_reads_none(more, layout):
    more.profile("sound", loud="raise AssertionError('read')")
    choose_profiles(layout, [], [])
    ensure_env(layout)
    assert "loud" not in _platform(layout).services
    assert "control.services.sound" not in sys.modules


def test_a_profile_is_kept_until_it_is_taken_away(more, layout, capsys):
    more.profile("sound", echo_server=ECHO)
    more.profile("light", ", set_up=lambda layout: print('set up')", lamp=ECHO.replace("echo-server", "lamp"))
    layout.state.mkdir(parents=True)
    choose_profiles(layout, ["sound"], [])
    before = ensure_env(layout)
    choose_profiles(layout, ["light", "sound"], [])
    assert capsys.readouterr().out == "set up\n"
    choose_profiles(layout, [], [])
    assert registry.chosen_profiles(layout) == ("sound", "light")
    assert capsys.readouterr().out == "set up\n", "each start looks whether all is there"
    assert {"echo-server", "lamp"} < set(_platform(layout).services)
    change_env(layout, {"SPARK_MASTER": "echo://127.0.0.1:21901"})
    choose_profiles(layout, [], ["sound"])
    choose_profiles(layout, [], ["sound"])
    assert registry.chosen_profiles(layout) == ("light",)
    assert "echo-server" not in _platform(layout).services
    there = read_env(layout.env_file)
    assert there["SPARK_MASTER"] == DEFAULTS["SPARK_MASTER"]
    assert there["ECHO_KEY"] == before["ECHO_KEY"], "its data may need it, should it come back"


def test_a_profile_whose_set_up_fails_is_not_kept(more, layout):
    more.profile("sound", ", set_up=lambda layout: 1 / 0")
    layout.state.mkdir(parents=True)
    with pytest.raises(ZeroDivisionError):
        choose_profiles(layout, ["sound"], [])
    assert registry.chosen_profiles(layout) == ()


def test_names_that_are_no_profiles_are_refused_with_the_list(more, layout, monkeypatch):
    with pytest.raises(OptionError, match=r"there is no profile smell; there are none yet\."):
        choose_profiles(layout, ["smell"], [])
    more.profile("sound")
    for wanted, unwanted in ((["smell"], []), ([], ["smell"])):
        with pytest.raises(OptionError, match=r"there is no profile smell; there are sound\."):
            choose_profiles(layout, wanted, unwanted)
    with pytest.raises(OptionError, match="sound is named with --with and with --without"):
        choose_profiles(layout, ["sound"], ["sound"])
    monkeypatch.setattr(start, "prepare", lambda _: pytest.fail("it went on"))  # rather than a platform
    done = CliRunner().invoke(app, ["start", "--with", "smell"], env={"TIEOUT_HOME": str(layout.home)})
    assert isinstance(done.exception, OptionError)
    assert not layout.env_file.exists()


def test_a_profile_of_another_checkout_is_named_and_can_be_taken_away(layout):
    layout.state.mkdir(parents=True)
    registry.chosen_file(layout).write_text(json.dumps(["smell"]))
    for ask in (lambda: settings(layout), lambda: choose_profiles(layout, [], [])):
        with pytest.raises(TieoutError, match="this home has the profile smell, and this checkout has none") as refused:
            ask()
        assert "./scripts/start.sh --without smell" in refused.value.next
    choose_profiles(layout, [], ["smell"])
    assert registry.chosen_profiles(layout) == ()


@pytest.mark.parametrize("text", ["sound", "3", ""])
def test_a_file_of_profiles_that_is_none_is_named(layout, text):
    layout.state.mkdir(parents=True)
    registry.chosen_file(layout).write_text(text)
    with pytest.raises(TieoutError, match=r"profiles\.json is no list of profiles"):
        settings(layout)


def test_a_profile_for_fresh_homes_neither_comes_to_nor_leaves_another(more, layout):
    more.profile("grown", ", needs_fresh_home=True", echo_server=ECHO)
    layout.kafka_data.mkdir(parents=True)
    choose_profiles(layout, ["grown"], [])
    (layout.kafka_data / "meta.properties").touch()
    choose_profiles(layout, ["grown"], [])
    with pytest.raises(TieoutError, match="the profile grown can only come to a fresh home, or leave one") as refused:
        choose_profiles(layout, [], ["grown"])
    assert "TIEOUT_HOME=" in refused.value.next
    registry.chosen_file(layout).unlink()
    with pytest.raises(TieoutError, match="fresh home"):
        choose_profiles(layout, ["grown"], [])
    assert registry.chosen_profiles(layout) == ()


def test_a_profiles_service_takes_the_place_of_a_plain_one_and_of_no_other_profiles(more, layout):
    more.profile("grown", kafka=BROKER)
    more.profile("other", kafka=BROKER)
    layout.state.mkdir(parents=True)
    choose_profiles(layout, ["grown"], [])
    ensure_env(layout)
    found = _platform(layout).services
    assert found["kafka"].command[-1] == "another-broker"
    assert found["kafka"].supervised_name == "grown-base:kafka"
    with pytest.raises(TieoutError, match="the profiles grown and other both bring the service kafka"):
        choose_profiles(layout, ["other"], [])


PAGE = """
    import sys
    from dataclasses import replace
    from control.service import Group
    from control.loopback import page_answers
    from control.services.sound._echo import SERVICE as ECHO

    SERVICE = replace(
        ECHO,
        command=lambda platform: (
            *(sys.executable, "-I", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/usr/share"),
            platform.settings["ECHO_PORT"],
        ),
        group=Group.BASE,
        stop_signal="TERM",
        follows=lambda _: {},
        check=page_answers("ECHO_PORT", "/"),
        prepare=lambda platform: (platform.layout.state / "echo" / "prepared").touch(),
    )
"""


@pytest.mark.services
def test_a_profile_comes_to_a_running_platform_and_goes_again(more):
    with temporary_platform() as handle:
        layout = handle.platform.layout
        before = {name: info["pid"] for name, info in supervision.process_states(layout).items() if info["pid"]}
        assert set(before) == {"kafka", "postgres"}
        more.profile("sound", _echo=ECHO, echo_server=PAGE)
        choose_profiles(layout, ["sound"], [])
        platform = bring_up_base(prepare(layout))
        states, env = supervision.process_states(layout), platform.settings
        assert states["echo-server"]["statename"] == "RUNNING"
        assert inspect_services(layout, env, ["echo-server"]).problem("echo-server") is None
        assert (layout.state / "echo" / "prepared").exists()
        assert {name: states[name]["pid"] for name in before} == before, "nothing else restarts"
        assert {*registry.users_of(platform.registered)} > {*registry.users_of()}
        assert refused_logins(env, platform.registered) == []
        with psycopg.connect(dsn(env, "echo", "echoes")) as connection:
            connection.execute("create table said (word text)")
        assert "READ echo. PREFIXED" in _rights_of("echo", env)

        choose_profiles(layout, [], ["sound"])
        platform = bring_up_base(prepare(layout))
        states = supervision.process_states(layout)
        assert "echo-server" not in states
        assert {name: states[name]["pid"] for name in before} == before
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg.connect(dsn(env, "echo", "echoes"))


def _rights_of(user, env):
    anything = ResourcePatternFilter(ResourceType.TOPIC, None, ACLResourcePatternType.ANY)
    asked = ACLFilter(f"User:{user}", None, ACLOperation.ANY, ACLPermissionType.ALLOW, anything)
    with administrator(env) as admin:
        found, _ = admin.describe_acls(asked)
    patterns = ((acl.operation.name, acl.resource_pattern) for acl in found)
    return {f"{operation} {each.resource_name} {each.pattern_type.name}" for operation, each in patterns}
