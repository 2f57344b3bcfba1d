"""The large form: what its profiles make of a home."""

import pytest

from control import store
from control.accounts import Accounts
from control.env import ensure_env, read_env, settings
from control.ports import settle_ports
from control.processes import Platform
from control.profiles import choose_profiles
from control.store import PORTS, holds_lake
from core.errors import TieoutError
from core.layout import find_layout


@pytest.fixture
def layout(tmp_path, monkeypatch):
    found = find_layout({"TIEOUT_HOME": str(tmp_path / "home")})
    found.state.mkdir(parents=True)
    monkeypatch.setattr("control.services.store.program", lambda _: tmp_path)  # installed
    return found


def _platform(layout):
    return Platform(layout, Accounts(None, None, layout.postgres_data, layout.state), settings(layout))


def test_the_lake_of_a_fresh_home_begins_in_its_store(layout):
    choose_profiles(layout, ["store"], [])
    values = ensure_env(layout)
    assert (values["LAKE_URL"], values["LAKE_ENDPOINT"]) == ("s3://lake", "http://127.0.0.1:8333")
    assert len({values["LAKE_ACCESS_KEY"], values["LAKE_SECRET_KEY"]}) == 2
    assert holds_lake(layout)
    platform = _platform(layout)
    process = platform.services["store"]
    assert len(process.service.ports) == PORTS
    moved = settle_ports({**platform.settings, "STORE_S3_PORT": "21902"}, (), platform.registered)
    assert moved == {"LAKE_ENDPOINT": "http://127.0.0.1:21902"}
    for secret in (values["LAKE_ACCESS_KEY"], values["LAKE_SECRET_KEY"]):
        assert not any(secret in word for word in process.command)
    choose_profiles(layout, [], [])
    assert ensure_env(layout) == values, "keys are drawn once"


def test_a_lake_that_is_there_stays_and_the_move_is_named(layout, capsys):
    log = layout.data / "raw_transactions" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{}")
    choose_profiles(layout, ["store"], [])
    assert "LAKE_URL" not in ensure_env(layout)
    assert "./scripts/tieout lake move --to s3://lake --switch" in capsys.readouterr().err
    assert not holds_lake(layout)
    choose_profiles(layout, [], ["store"])
    assert not {"LAKE_ENDPOINT", "LAKE_SECRET_KEY"} & set(read_env(layout.env_file))


def test_a_store_with_a_lake_in_it_does_not_go(layout):
    choose_profiles(layout, ["store"], [])
    (store.folder(layout) / "objects").mkdir(parents=True)
    with pytest.raises(TieoutError, match="in its own store, which would no longer run") as refused:
        choose_profiles(layout, [], ["store"])
    assert "lake move --to file:data" in refused.value.next
    (store.folder(layout) / "objects").rmdir()  # as a reset leaves it
    choose_profiles(layout, [], ["store"])
    assert not {"LAKE_URL", "LAKE_ENDPOINT"} & set(read_env(layout.env_file))


def test_a_home_whose_lake_is_in_somebody_elses_store_keeps_it(layout):
    layout.env_file.write_text("LAKE_URL=s3://theirs\nLAKE_ENDPOINT=https://s3.example.org\n")
    with pytest.raises(TieoutError, match=r"in another store, at https://s3\.example\.org"):
        choose_profiles(layout, ["store"], [])
    assert read_env(layout.env_file)["LAKE_ENDPOINT"] == "https://s3.example.org"
