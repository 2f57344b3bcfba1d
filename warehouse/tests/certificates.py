"""Certificates for tests, made by openssl: an authority, and what it signs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


def _openssl(*arguments: str | Path, text: str = "") -> None:
    subprocess.run(["openssl", *map(str, arguments)], input=text, text=True, check=True, capture_output=True)


@dataclass(frozen=True)
class Authority:
    """Signs certificates; all of its files are in one folder."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> "Authority":
        folder.mkdir(parents=True, exist_ok=True)
        ours = cls(folder)
        subject = ("-subj", f"/CN=authority {folder.name}", "-days", "2")
        _openssl("req", "-x509", "-nodes", *_KEY, "-keyout", ours.key("ca"), "-out", ours.file, *subject)
        (folder / "index").write_text("")
        (folder / "serial").write_text("01\n")
        (folder / "ca.conf").write_text(_CONF.format(folder=folder))
        return ours

    @property
    def file(self) -> Path:
        return self.folder / "ca.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def sign(self, name: str, *, user: str = "", hosts: str = "IP:127.0.0.1", expired: bool = False) -> Path:
        """Make key and certificate of a name; return a file with both, as a Kafka broker reads it."""
        request = self.folder / f"{name}.csr"
        _openssl(
            "req", "-new", "-nodes", *_KEY, "-keyout", self.key(name), "-out", request, "-subj", f"/CN={user or name}"
        )
        self.key(name).chmod(0o600)
        dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z") if expired else ("-days", "2")
        extra = self.folder / f"{name}.ext"
        extra.write_text(f"subjectAltName={hosts}\n")
        _openssl("ca", "-batch", "-notext", "-config", self.folder / "ca.conf", "-in", request, "-out",
                 self.certificate(name), "-extfile", extra, *dates)  # fmt: skip
        both = self.folder / f"{name}.pem"
        both.write_text(self.key(name).read_text() + self.certificate(name).read_text())
        return both


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
_CONF = """\
[ca]
default_ca = it
[it]
dir = {folder}
database = $dir/index
serial = $dir/serial
new_certs_dir = $dir
certificate = $dir/ca.crt
private_key = $dir/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""
