"""A place of the lake in a bucket of an S3 store."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from typing_extensions import override

from core.errors import OutageError, TieoutError
from core.places import Entry, Place

# A request may take so long; bodies are asked for and sent in pieces, each of them a request.
REQUEST_SECONDS, CONNECT_SECONDS = 30, 5
# What fails is tried again so often, for so long; a store that is started anew is back by then.
RETRIES, RETRY_SECONDS = 6, 30
PIECE = 8 << 20

LEFT = "the lake is as its newest commits left it."
_REFUSED = re.compile(
    "AccessDenied|SignatureDoesNotMatch|InvalidAccessKeyId|lacked the necessary privileges|"
    "credentials|40[13] (Forbidden|Unauthorized)"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Bucket(Place):
    """A prefix of a bucket, and what is below it.

    Attributes:
        prefix: without slashes at its ends; empty: the whole bucket.
        endpoint: the store's address; empty: Amazon's.
        access_key: empty: the machine's own keys, as Amazon's clients find them.
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    @property
    @override
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    @override
    def storage_options(self) -> dict[str, str]:
        patience = {"timeout": REQUEST_SECONDS, "connect_timeout": CONNECT_SECONDS, "retry_timeout": RETRY_SECONDS}
        return {
            **self.login,
            "aws_allow_http": str(self._is_plain).lower(),
            "aws_conditional_put": "etag",
            "max_retries": str(RETRIES),
            **{name: f"{seconds}s" for name, seconds in patience.items()},
        }

    @property
    def login(self) -> dict[str, str]:
        """Store, region and keys, as far as they are set."""
        named = {
            "aws_endpoint": self.endpoint,
            "aws_region": self.region,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def store(self) -> str:
        """The store for people: who forgot an endpoint has asked another one than is meant."""
        return self.endpoint or "Amazon S3 (LAKE_ENDPOINT is not set)"

    @property
    def _is_plain(self) -> bool:
        return self.endpoint.startswith("http:")

    @override
    def folder(self, name: str) -> None:
        return None

    @override
    def names(self, folder: str, after: str = "") -> list[str]:
        return [each.name for each in self.entries(folder, after)]

    @override
    def sizes(self, folder: str) -> dict[str, int]:
        return {each.name: each.size for each in self._listed(folder)}

    @override
    def entries(self, folder: str, after: str = "") -> list[Entry]:
        found = (each for each in self._listed(folder, after) if "/" not in each.name)
        return sorted(found, key=lambda each: each.name)

    def _listed(self, folder: str, after: str = "") -> Iterator[Entry]:
        import obstore  # noqa: PLC0415  (heavy)

        key = self._key(folder)
        base = f"{key}/" if key else ""
        with self.answering():
            for chunk in obstore.list(_client(self), base, offset=base + after if after else None):
                for found in chunk:
                    version = found["e_tag"] or str(found["last_modified"])
                    yield Entry(found["path"].removeprefix(base), found["size"], version)

    @override
    def size(self, name: str) -> int | None:
        import obstore  # noqa: PLC0415  (heavy)

        try:
            with self.answering():
                return int(obstore.head(_client(self), self._key(name))["size"])
        except FileNotFoundError:
            return None

    @override
    def read(self, name: str) -> bytes:
        with self.open_input(name) as file:
            return bytes(file.read())

    @override
    def create(self, name: str, data: bytes) -> None:
        import obstore  # noqa: PLC0415  (heavy)

        with self.answering():
            obstore.put(_client(self), self._key(name), data, mode="create", use_multipart=False)

    @override
    @contextmanager
    def open_input(self, name: str) -> Iterator[BinaryIO]:
        import obstore  # noqa: PLC0415  (heavy)

        with self.answering():
            yield obstore.open_reader(_client(self), self._key(name), buffer_size=PIECE)  # type: ignore[misc]

    @override
    @contextmanager
    def open_output(self, name: str) -> Iterator[BinaryIO]:
        import obstore  # noqa: PLC0415  (heavy)

        # The store shows a file once it is whole. Leaving by an error ends what was begun.
        with self.answering(), obstore.open_writer(_client(self), self._key(name), buffer_size=PIECE) as file:
            yield file  # type: ignore[misc]

    @override
    def fetch(self, name: str, folder: Path) -> Path:
        """As of Place. A copy that the folder has is whole: files of the lake never change."""
        copy = folder / name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            partial = copy.with_name(f"{copy.name}.partial")
            with self.open_input(name) as source, partial.open("wb") as file:
                while piece := source.read(PIECE):
                    file.write(piece)
            partial.rename(copy)
        return copy

    @override
    def remove(self, name: str) -> None:
        import obstore  # noqa: PLC0415  (heavy)

        with self.answering():
            if self.size(name) is not None:
                obstore.delete(_client(self), self._key(name))
            for each in self.sizes(name):
                obstore.delete(_client(self), f"{self._key(name)}/{each}")

    @override
    def delete(self, name: str) -> None:
        import obstore  # noqa: PLC0415  (heavy)

        with self.answering():
            obstore.delete(_client(self), self._key(name))

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}".strip("/")

    @override
    @contextmanager
    def answering(self) -> Iterator[None]:
        try:
            yield
        except TieoutError:
            raise
        except Exception as error:
            found = _in_words(self, error)
            if found is None:
                raise
            raise found from None


def _in_words(place: Bucket, error: Exception) -> Exception | None:
    """Return what an error of the store means; None for one that is not the store's."""
    text = " ".join(_COLOURS.sub("", str(error)).replace("\u21b3", " ").split())
    is_missing = isinstance(error, FileNotFoundError)
    if not is_missing and "S3 error" not in text and not type(error).__module__.startswith("obstore"):
        return _of_keys(place, text) if isinstance(error, OSError) and "Error performing" in text else None
    store = place.store
    if "NoSuchBucket" in text:
        return TieoutError(
            f"the store at {store} has no bucket {place.bucket}.",
            LEFT,
            "make the bucket, or mend LAKE_URL in .env; then ./scripts/tieout doctor",
        )
    if is_missing:
        return FileNotFoundError(f"{place.url}: {text.partition(': ')[0]}")
    if type(error).__name__ == "AlreadyExistsError":
        return FileExistsError(f"{place.url}: {text.partition(': ')[0]}")
    return _of_keys(place, text) or OutageError(
        f"the store at {store} does not answer: {_reason(text)}.",
        LEFT,
        "./scripts/tieout doctor, then the same command again",
    )


def _of_keys(place: Bucket, text: str) -> TieoutError | None:
    refused = _REFUSED.search(text)
    return refused and TieoutError(
        f"the store at {place.store} refuses the keys of the lake for {place.url}: {refused[0]}.",
        LEFT,
        "mend LAKE_ACCESS_KEY and LAKE_SECRET_KEY in .env, then ./scripts/tieout doctor",
    )


def _reason(text: str) -> str:
    if re.search("timed out|TimedOut|kind: Timeout", text):
        return f"a request took more than {REQUEST_SECONDS} s"
    code = re.search(r"[45]\d\d [A-Z][A-Za-z]+( [A-Z][A-Za-z]+)*", text)
    return code[0] if code else "no connection" if "error sending request" in text else text[:200]


@cache
def _client(place: Bucket) -> Any:
    """Return the client of a bucket, one a process."""
    from obstore.store import S3Store  # noqa: PLC0415  (heavy)

    return S3Store(
        place.bucket,
        config=place.login,  # type: ignore[arg-type]
        client_options={
            "allow_http": place._is_plain,
            "timeout": f"{REQUEST_SECONDS}s",
            "connect_timeout": f"{CONNECT_SECONDS}s",
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    )
