"""The forms of settings that plain types do not know, each with the words of its refusal."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from core.spans import parse_span


def _plain_port(value: object) -> int:
    """Take digits alone: programs that get the text itself read `8_0` or `80.0` in other ways, or not at all."""
    if not re.fullmatch("[0-9]{1,5}", str(value), re.ASCII) or not 0 < int(str(value)) <= 65_535:
        raise PydanticCustomError("port", "a port is a number from 1 to 65535")
    return int(str(value))


def _span(value: str) -> str:
    try:
        parse_span(value)
    except ValueError:
        words = "it is no number with s, m, h or d, such as 90m or 26h, of a hundred years at most"
        raise PydanticCustomError("span", words) from None
    return value


def _matching(pattern: str, words: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise PydanticCustomError("pattern", words)
        return value

    return AfterValidator(check)


Port = Annotated[int, BeforeValidator(_plain_port)]
Span = Annotated[str, AfterValidator(_span)]
JavaMemory = Annotated[
    str, _matching("[1-9][0-9]{0,8}[kKmMgGtT]", "it is no memory as Java takes it, such as 1500m or 2g")
]
DuckdbMemory = Annotated[
    str,
    _matching(
        r"(?i)[0-9]{1,9}(\.[0-9]{1,3})? ?([KMGT]i?B?|%)", "it is no memory as DuckDB takes it, such as 800MB or 1.5GB"
    ),
]

# As Amazon names them. A name with dots is no host name under TLS, and is refused there too.
_BUCKET = "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
# What Hadoop, DuckDB or an URL take for a pattern, an escape or an end.
_ODD = re.compile(r"""[^\x20-\x7e]|[!:,*?\[\]{}\\"'#%<>|^`]""")
_ODD_IN_FOLDER = re.compile(r"""[!:,*?\[\]{}\\"'#%]""")


def _lake_url(value: str) -> str:
    """Return the address without a slash at its end."""
    scheme, _, rest = value.partition(":")
    if scheme == "file":
        wrong = _wrong_folder(rest)
    elif scheme == "s3":
        wrong = _wrong_bucket(rest)
    else:
        wrong = "it begins with neither file: nor s3://"
    if wrong:
        raise PydanticCustomError("lake_url", "{wrong}; write file:data or s3://bucket/prefix", {"wrong": wrong})
    return value.rstrip("/")


def _wrong_folder(rest: str) -> str:
    path = rest.removeprefix("//")
    if rest.startswith("//") and not path.startswith("/"):
        return "a host is named between file:// and the folder"
    parts = path.strip("/").split("/")
    if not path.strip("/"):
        return "no folder is named"
    if ".." in parts or "." in parts or "" in parts or path.startswith("//"):
        return "the folder's path has an empty part, . or .."
    if _ODD_IN_FOLDER.search(path) or not path.isprintable():
        return "the folder's path holds a character that some part cannot take"
    return ""


def _wrong_bucket(rest: str) -> str:
    if not rest.startswith("//"):
        return "two slashes are missing after s3:"
    bucket, _, prefix = rest[2:].rstrip("/").partition("/")
    if "@" in bucket or ":" in bucket:
        return "keys belong into LAKE_ACCESS_KEY and LAKE_SECRET_KEY, and a host into LAKE_ENDPOINT"
    if not re.fullmatch(_BUCKET, bucket):
        return "a bucket's name has 3 to 63 small letters, digits and hyphens"
    if prefix and any(part in ("", ".", "..") or part != part.strip() for part in prefix.split("/")):
        return "the prefix has an empty part, . or .., or a part that begins or ends with a blank"
    if _ODD.search(prefix):
        return "the prefix holds a character that some part cannot take"
    return ""


def _lake_endpoint(value: str) -> str:
    try:
        found = urlsplit(value)
        plain = found.hostname and not (found.username or found.password or found.query or found.fragment)
        ok = found.scheme in ("http", "https") and plain and found.path in ("", "/") and found.port != 0
    except ValueError:
        ok = False
    if value and (not ok or not re.fullmatch(r"[!-~]+", value)):
        raise PydanticCustomError("endpoint", "it is no address such as http://127.0.0.1:8333, without path and keys")
    return value.rstrip("/")


LakeUrl = Annotated[str, AfterValidator(_lake_url)]
LakeEndpoint = Annotated[str, AfterValidator(_lake_endpoint)]
