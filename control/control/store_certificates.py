"""Make the certificates with which the parts of the object store know each other.

The store's own environment runs it, and nothing of ours is imported: python store_certificates.py FOLDER
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

VALID = timedelta(days=3650)


def make(folder: Path) -> None:
    """Write ca.crt, store.crt and store.key; nobody keeps the key of ca.crt, so that it signs no second one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "store")}
    for name, key in keys.items():
        text = _certificate(name, key, keys["ca"]).public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.crt").write_bytes(text)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "store.key").write_bytes(keys["store"].private_bytes(serialization.Encoding.PEM, *form))


def _certificate(name: str, key: Any, signer: Any) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    def named(text: str) -> Any:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tieout {text}")])

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named("ca"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


if __name__ == "__main__":
    os.umask(0o077)  # store.key is private from its first moment
    make(Path(sys.argv[1]))
