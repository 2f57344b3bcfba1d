"""One model of all settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from core.env_file import read_env_file
from core.errors import TieoutError
from core.layout import CHECKOUT, Layout, find_layout
from core.setting_kinds import EMPTY, GIVEN, SECRET, WRITTEN, kind_of
from core.settings import Settings, load_settings, names
from core.settings_example import render_example


def home(folder: Path, text: str) -> Layout:
    (folder / ".env").write_text(text, encoding="utf-8")
    return Layout(CHECKOUT, folder)


def test_the_example_in_the_tree_is_rendered_from_the_model() -> None:
    assert (CHECKOUT / ".env.example").read_text(encoding="utf-8") == render_example()


def test_every_password_is_a_secret_and_every_other_setting_has_a_default() -> None:
    for name, field in Settings.model_fields.items():
        is_secret = kind_of(field) in (SECRET, GIVEN)
        assert is_secret == (field.annotation == SecretStr | None), name
        assert is_secret == (field.default is None), name
    assert len(names(SECRET)) > 15
    assert set(names(SECRET, GIVEN, WRITTEN, EMPTY)) < {name.upper() for name in Settings.model_fields}


def test_the_environment_wins_over_the_file_and_an_empty_value_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = home(tmp_path, "POSTGRES_PORT=6000\nKAFKA_PORT=7000\nLOADER_MEMORY=\nMAX_ROWS_PER_LOAD=5\n")
    monkeypatch.setenv("KAFKA_PORT", "7001")
    monkeypatch.setenv("MAX_ROWS_PER_LOAD", "")
    found = load_settings(layout)
    assert (found.postgres_port, found.kafka_port, found.loader_memory, found.max_rows_per_load) == (
        6000,
        7001,
        "1GB",
        5,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("POSTGRES_PORT", "x"), ("KAFKA_PORT", "65536"), ("PRODUCER_RATE", "inf"), ("LOOP", "sometimes"),
     ("LOADER_LOCK_WAIT_SECONDS", "nan"), ("MAX_ROWS_PER_LOAD", "0"), ("LIVE_KEEP_SECONDS", "9" * 400),
     ("RUN_EVERY_SECONDS", "inf"), ("RUN_EVERY_SECONDS", "nan"), ("AIRFLOW_KEEP_DAYS", "9" * 12),
     ("MAX_ROWS_PER_LOAD", "9" * 30), ("LIVE_BATCH_EVENTS", "9" * 30), ("LIVE_LINGER_MS", "9" * 30),
     ("MAX_OFFSETS_PER_TRIGGER", "9" * 30), ("BRONZE_MAX_AGE", "lots"), ("BRONZE_MAX_AGE", "99999999d"),
     ("LOADER_MEMORY", "x'"), ("LOADER_MEMORY", "1GB'; select 1"), ("LOADER_MEMORY", "-1"),
     ("SPARK_DRIVER_MEMORY", "lots"), ("SPARK_DRIVER_MEMORY", "1500mb"), ("SPARK_DRIVER_MEMORY", "2048"),
     ("POSTGRES_PORT", "54_32"), ("POSTGRES_PORT", "5432.0")],
)  # fmt: skip
def test_a_value_that_cannot_be_is_named_and_not_repeated(
    tmp_path: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    with pytest.raises(TieoutError) as caught:
        load_settings(home(tmp_path, f"{name}={value}\nPOSTGRES_PASSWORD_READER=hush\n"))
    assert name in caught.value.what
    assert name in caught.value.next
    assert "hush" not in str(caught.value)
    assert len(value) < 4 or value not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RUN_EVERY_SECONDS", "0.5"), ("AIRFLOW_KEEP_DAYS", "365"), ("MAX_ROWS_PER_LOAD", "5000000"),
     ("BRONZE_MAX_AGE", "90 m"), ("LOADER_MEMORY", "1.5GiB"), ("LOADER_MEMORY", "800 mb"), ("LOADER_MEMORY", "40%"),
     ("SPARK_DRIVER_MEMORY", "4g"), ("LIVE_LINGER_MS", "20")],
)  # fmt: skip
def test_a_value_that_people_use_is_taken(
    tmp_path: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    assert str(getattr(load_settings(home(tmp_path, f"{name}={value}\n")), name.lower())) == value


def test_settings_that_are_made_by_hand_do_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_DB", "another")
    monkeypatch.setenv("CARD_HASH_KEY", "secret")
    assert (Settings().postgres_db, Settings().card_hash_key) == ("payments", None)


def test_nothing_in_a_value_is_replaced(tmp_path: Path) -> None:
    layout = home(tmp_path, "POSTGRES_PASSWORD_READER=a${HOME}b$c\nCARD_HASH_KEY='it is'\n")
    assert read_env_file(layout.env_file) == {"POSTGRES_PASSWORD_READER": "a${HOME}b$c", "CARD_HASH_KEY": "it is"}
    assert load_settings(layout).secret("POSTGRES_PASSWORD_READER") == "a${HOME}b$c"


def test_a_file_that_is_no_text_and_a_missing_secret_name_the_repair(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"LOOP=off\n\xff\xfe")
    with pytest.raises(TieoutError, match="UTF-8"):
        load_settings(Layout(CHECKOUT, tmp_path))
    with pytest.raises(TieoutError, match=r"KAFKA_PASSWORD_LIVE(.|\n)*setup\.sh"):
        Settings().kafka_login("live")


def test_a_connection_string_names_role_and_application_and_quotes_the_password() -> None:
    settings = Settings(postgres_password_reader="it's \\ odd")  # type: ignore[arg-type]
    found = settings.dsn("reader", options="-c timezone=UTC")
    assert "user=reader" in found
    assert "application_name='tieout reader'" in found
    assert r"password='it\'s \\ odd'" in found


@pytest.mark.parametrize("home", ["~nobody-of-this-name/x", "loop"])
def test_a_home_that_is_no_folder_is_named(tmp_path: Path, home: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    named = home if home.startswith("~") else str(tmp_path / home)
    with pytest.raises(TieoutError, match="TIEOUT_HOME"):
        find_layout({"TIEOUT_HOME": named})


@pytest.mark.parametrize("host", ["db..example.com", "..", "a b", ""])
def test_a_host_that_cannot_be_is_refused(tmp_path: Path, host: str) -> None:
    if host:
        with pytest.raises(TieoutError, match="POSTGRES_HOST"):
            load_settings(home(tmp_path, f"POSTGRES_HOST={host}\n"))
    for good in ("127.0.0.1", "::1", "db.example.com", "/var/run/postgresql", "db_1"):
        assert load_settings(home(tmp_path, f"POSTGRES_HOST={good}\n")).postgres_host == good
