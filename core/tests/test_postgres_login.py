"""TLS for the warehouse in the words of libpq."""

import pytest

from core.errors import TieoutError
from core.postgres_login import PostgresTls
from core.settings import Settings


def test_without_settings_a_connection_is_what_it_was() -> None:
    assert PostgresTls.of({}).parameters("reader") == {"sslmode": "prefer"}
    assert not PostgresTls.of({}).is_needed


def test_each_role_has_its_own_certificate() -> None:
    tls = PostgresTls("verify-full", "/c/ca.crt", "/c/{role}.crt", "/c/{role}.key")
    assert tls.parameters("dbt") == {
        "sslmode": "verify-full", "sslrootcert": "/c/ca.crt", "sslcert": "/c/dbt.crt", "sslkey": "/c/dbt.key",
    }  # fmt: skip
    assert tls.environment("airflow")["PGSSLCERT"] == "/c/airflow.crt"
    given = {"postgres_sslmode": "verify-ca", "postgres_ca_file": "/c/ca.crt", "postgres_password_reader": "x"}
    assert "sslmode=verify-ca sslrootcert=/c/ca.crt" in Settings(**given).dsn("reader")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_verifying_by_nothing_is_refused(mode: str) -> None:
    with pytest.raises(TieoutError, match="POSTGRES_CA_FILE"):
        PostgresTls(mode).parameters("reader")
