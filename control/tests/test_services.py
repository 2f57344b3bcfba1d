import os
import stat

import psycopg
import pytest

from control.roles import dsn

pytestmark = pytest.mark.services


def test_the_fixture_has_a_migrated_database(services):
    with psycopg.connect(dsn(services.env, "owner")) as connection:
        schemas = {name for (name,) in connection.execute("select schema_name from information_schema.schemata")}
    assert {"raw", "metadata", "staging", "intermediate", "marts"} <= schemas


def test_the_settings_file_is_readable_by_its_owner_only(services):
    mode = (services.home / ".env").stat()
    assert stat.S_IMODE(mode.st_mode) == 0o600
    assert mode.st_uid == os.geteuid()
