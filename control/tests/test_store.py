"""The object store of our own: who gets in, and who does not."""

import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from control import doctor
from control.store import Store
from core.bucket import Bucket
from core.errors import TieoutError
from core.layout import Layout

# They say that a part runs, or how full the disk is, and nothing of an object.
SAYS_NOTHING = {(0, "/status"), (4, "/"), (6, "/status")}
PATHS = ("/", "/status", "/lake", "/buckets/lake/x", "/dir/assign", "/dir/lookup?volumeId=1",
         "/col/delete?collection=lake",
         "/vol/grow?count=1", "/object-store/buckets")  # fmt: skip


def test_a_store_that_is_not_installed_names_the_set_up(tmp_path: Path) -> None:
    store = Store(Layout(tmp_path, tmp_path), tmp_path / "store", 1, "a", "b")
    with pytest.raises(TieoutError, match=r"not installed(.|\n)*setup\.sh --store"):
        store.prepare()
    assert not (tmp_path / "store").exists()


def test_the_doctor_asks_the_lake_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path, tmp_path)
    found = doctor._lake(given(layout, monkeypatch))
    assert (found.ok, found.detail) == (
        True,
        f"{tmp_path}/data: raw_transactions not there yet, dead_letter_queue not there yet",
    )
    monkeypatch.setattr("core.bucket.RETRIES", 0)
    told = {
        "LAKE_URL": "s3://lake",
        "LAKE_ENDPOINT": "http://127.0.0.1:9",
        "LAKE_ACCESS_KEY": "a",
        "LAKE_SECRET_KEY": "b",
    }
    found = doctor._lake(given(layout, monkeypatch, **told))
    assert not found.ok
    assert "does not answer" in found.detail
    assert "LAKE_ENDPOINT" in found.repair


def given(layout: Layout, monkeypatch: pytest.MonkeyPatch, **told: str) -> Layout:
    """Let the doctor find settings, and return the layout."""
    monkeypatch.setattr(doctor, "settings", lambda _: told)
    return layout


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def answer(url: str) -> int:
    """Return the status of a page; 0 where no HTTP is spoken."""
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=5) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, urllib.error.URLError, ValueError):
        return 0


@pytest.mark.services
def test_nobody_without_a_key_a_token_or_a_certificate_gets_at_an_object(store: Store) -> None:
    place = Bucket("lake", "", store.endpoint, "us-east-1", store.access_key, store.secret_key)
    if place.size("x") is None:
        place.create("x", b"payments")
    open_pages = {
        (port, path)
        for port in range(len(store.ports))
        for path in PATHS
        if answer(f"http://127.0.0.1:{store.ports[port]}{path}") == 200
    }
    assert open_pages == SAYS_NOTHING
    assert place.read("x") == b"payments"
    refused = [port for port in range(1, len(store.ports), 2) if not speaks_without_certificate(store.ports[port])]
    assert refused == [1, 3, 5, 7, 9]


def speaks_without_certificate(port: int) -> bool:
    """Say whether a port of the parts' own protocol goes on with a client that shows no certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        try:
            with context.wrap_socket(plain) as secure:
                secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
                return bool(secure.recv(1))
        except ssl.SSLError as error:
            return "certificate required" not in str(error)


@pytest.mark.services
def test_it_listens_on_this_machine_only_and_no_argument_is_a_secret(store: Store) -> None:
    (process,) = [
        p for p in psutil.process_iter(["cmdline"]) if f"-s3.port={store.ports[0]}" in (p.info["cmdline"] or ())
    ]
    listening = {each.laddr for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    assert {address for address, _ in listening} == {"127.0.0.1"}
    assert {port for _, port in listening} == set(store.ports)
    assert store.secret_key not in " ".join(process.info["cmdline"])
    assert all(
        path.stat().st_mode & 0o077 == 0
        for path in store.folder.rglob("*")
        if path.suffix in (".key", ".json", ".toml")
    )
