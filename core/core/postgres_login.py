"""How connections to the warehouse are secured, in the words of libpq."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import TieoutError

# libpq's names: parameter of a connection string, variable of the environment.
_NAMES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


@dataclass(frozen=True)
class PostgresTls:
    """The settings POSTGRES_* of the same names.

    Attributes:
        mode: libpq's sslmode: disable, prefer (encrypted where the server offers it), require (always encrypted),
            verify-ca (and the server's certificate is signed by `ca_file`), verify-full (and it names the host).
        ca_file: PEM.
        certificate_file: PEM of the client; `{role}` in its path is the role's name.
        key_file: PEM of its private key, without password; `{role}` as before.
    """

    mode: str = "prefer"
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "PostgresTls":
        """Return what settings name; those that are missing have their defaults."""
        return cls(
            values.get("POSTGRES_SSLMODE") or cls.mode,
            values.get("POSTGRES_CA_FILE", ""),
            values.get("POSTGRES_CERTIFICATE_FILE", ""),
            values.get("POSTGRES_KEY_FILE", ""),
        )

    @property
    def is_needed(self) -> bool:
        """Whether a connection without TLS is refused."""
        return self.mode not in {"disable", "prefer"}

    def parameters(self, role: str) -> dict[str, str]:
        """Return what a role's connection string needs.

        Raises:
            TieoutError: the server's certificate is to be verified, and nothing says by what.
        """
        if self.mode.startswith("verify") and not self.ca_file:
            raise TieoutError(
                f"POSTGRES_SSLMODE is {self.mode}, and POSTGRES_CA_FILE is not set.",
                "nothing was read or written.",
                "set POSTGRES_CA_FILE in .env; /etc/ssl/certs/ca-certificates.crt has the public authorities on Debian",
            )
        found = {
            "sslmode": self.mode,
            "sslrootcert": self.ca_file,
            "sslcert": self.certificate_file.replace("{role}", role),
            "sslkey": self.key_file.replace("{role}", role),
        }
        return {name: value for name, value in found.items() if value}

    def environment(self, role: str) -> dict[str, str]:
        """Return the same as variables, for programs with libpq in them, and for asyncpg."""
        return {_NAMES[name]: value for name, value in self.parameters(role).items()}
