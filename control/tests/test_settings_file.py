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
