import stat

import pytest

from control.env import DEFAULTS, NAMES, SECRETS, change_env, ensure_env, read_env, settings
from core.errors import TieoutError
from core.layout import CHECKOUT, find_layout


@pytest.fixture
def layout(tmp_path):
    return find_layout({"TIEOUT_HOME": str(tmp_path)})


def test_every_secret_is_drawn_anew_and_only_the_owner_can_read_the_file(layout):
    values = ensure_env(layout)
    drawn = [values[name] for name in SECRETS]
    assert len(set(drawn)) == len(SECRETS)
    assert min(map(len, drawn)) >= 32
    assert stat.S_IMODE(layout.env_file.stat().st_mode) == 0o600


def test_values_that_stand_in_the_file_are_kept(layout):
    layout.home.mkdir(exist_ok=True)
    layout.env_file.write_text("# mine\nPOSTGRES_PORT=6000\nPOSTGRES_PASSWORD_READER=chosen\nOTHER=kept\n")
    values = ensure_env(layout)
    assert values["POSTGRES_PORT"] == "6000"
    assert values["POSTGRES_PASSWORD_READER"] == "chosen"
    text = layout.env_file.read_text()
    assert "# mine" in text
    assert "OTHER=kept" in text
    assert ensure_env(layout) == values
    assert layout.env_file.read_text() == text


def test_a_file_with_wide_rights_is_closed_again(layout):
    ensure_env(layout)
    layout.env_file.chmod(0o644)
    ensure_env(layout)
    assert stat.S_IMODE(layout.env_file.stat().st_mode) == 0o600


def test_a_changed_port_replaces_its_line_and_no_other(layout):
    before = ensure_env(layout)
    change_env(layout, {"KAFKA_PORT": "9999"})
    assert read_env(layout.env_file) == before | {"KAFKA_PORT": "9999"}


def test_the_process_environment_wins_over_the_file(layout):
    ensure_env(layout)
    assert settings(layout, {"POSTGRES_PORT": "7000", "UNRELATED": "x"})["POSTGRES_PORT"] == "7000"
    assert "UNRELATED" not in settings(layout, {"UNRELATED": "x"})


def test_a_home_that_was_never_set_up_names_the_set_up(layout):
    with pytest.raises(TieoutError, match=r"setup\.sh"):
        settings(layout, {})


def test_the_example_names_every_setting_and_holds_no_secret():
    lines = [line for line in (CHECKOUT / ".env.example").read_text().splitlines() if line and line[0] != "#"]
    stated = dict(line.split("=", 1) for line in lines)
    assert set(stated) == NAMES
    assert {stated[name] for name in SECRETS} == {""}
    assert {name: stated[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("odd", ['ab"cd', "ab'cd", "ab cd", "ab\\cd", "ab$cd", "abäcd", "`ab`", '"ab\ncd"'])
def test_a_secret_that_some_part_cannot_take_is_refused_by_name_and_not_shown(layout, odd):
    ensure_env(layout)
    change_env(layout, {"KAFKA_PASSWORD_GATEWAY": odd})
    for ask in (ensure_env, lambda layout: settings(layout, {})):
        with pytest.raises(TieoutError, match="KAFKA_PASSWORD_GATEWAY") as refused:
            ask(layout)
        assert "cd" not in str(refused.value).replace("command", "")


@pytest.mark.parametrize("port", ["x", "0", "70000", "-1", "80a", "8_0", "²", "80.0", "+80", "9" * 5_000])
def test_a_port_that_is_none_is_refused(layout, port):
    with pytest.raises(TieoutError, match="DASHBOARD_PORT is not as it should be: a port is a number from 1 to 65535"):
        settings(layout, ensure_env(layout) | {"DASHBOARD_PORT": port})
    change_env(layout, {"DASHBOARD_PORT": port})
    with pytest.raises(TieoutError, match="DASHBOARD_PORT"):
        ensure_env(layout)


@pytest.mark.parametrize(
    "text", [b'POSTGRES_DB="payments\nOTHER=1\n', b"# \xff\n", b"POSTGRES_DB=a\x01b\n", b'POSTGRES_DB=a"b\n']
)
def test_a_file_that_is_no_file_of_settings_is_refused_and_stays(layout, text):
    layout.env_file.write_bytes(text)
    with pytest.raises(TieoutError):
        ensure_env(layout)
    assert layout.env_file.read_bytes() == text


def test_a_lost_file_is_noticed_before_secrets_are_drawn_anew(layout):
    before = ensure_env(layout)
    layout.kafka_data.mkdir()
    (layout.kafka_data / "meta.properties").touch()
    assert ensure_env(layout) == before
    text = layout.env_file.read_text()
    layout.env_file.unlink()
    with pytest.raises(TieoutError, match="is missing") as refused:
        ensure_env(layout)
    assert not layout.env_file.exists()
    assert "put the old .env back" in refused.value.next
    layout.env_file.write_text("".join(line + "\n" for line in text.splitlines() if "CARD_HASH_KEY" not in line))
    with pytest.raises(TieoutError, match="lacks CARD_HASH_KEY"):
        ensure_env(layout)
    layout.env_file.write_text("".join(line + "\n" for line in text.splitlines() if "PASSWORD_READER" not in line))
    assert ensure_env(layout)["POSTGRES_PASSWORD_READER"] != before["POSTGRES_PASSWORD_READER"]


@pytest.mark.parametrize(
    "name", ["a!", "a!b", "a:b", "a,b", "a[b]", "a*", "a?", "a{b}", "a%41", "a\\b", 'a"b', "a\nb", "a\x1b[31m"]
)
def test_a_folder_that_some_part_cannot_use_is_refused_before_anything_is_made(tmp_path, name):
    with pytest.raises(TieoutError, match="cannot be used") as refused:
        ensure_env(find_layout({"TIEOUT_HOME": str(tmp_path / name)}))
    assert list(tmp_path.iterdir()) == []
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("name", ["a b", "ä", "it's", "(copy)", "#1 & ;", "$x", "日本"])
def test_any_other_folder_is_fine(tmp_path, name):
    assert ensure_env(find_layout({"TIEOUT_HOME": str(tmp_path / name)}))
