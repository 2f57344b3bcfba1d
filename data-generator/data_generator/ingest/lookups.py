"""Values that a mapping looks up by key, in a JSON or CSV file beside it."""

import csv
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from data_generator.ingest.errors import LookupFileError

# A lookup is kept in memory.
MOST_BYTES: Final = 64 << 20


def load_lookup(file: Path, key: str, value: str) -> tuple[Mapping[str, str], str]:
    """Return the values of a lookup by key, and the hash of its file.

    Args:
        file: JSON with an object of texts, or CSV with a header.
        key: of CSV, the column with the keys.
        value: of CSV, the column with the values.

    Raises:
        LookupFileError: it is not there, or not of that form.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise LookupFileError(file, f"it has more than {MOST_BYTES >> 20} MiB")
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise LookupFileError(file, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise LookupFileError(file, "it is no UTF-8") from None
    read = _of_json(file, text) if file.suffix.lower() == ".json" else _of_csv(file, text, key, value)
    return read, sha256(content).hexdigest()


def _of_json(file: Path, text: str) -> dict[str, str]:
    try:
        held = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise LookupFileError(file, f"it is no JSON ({error})") from None
    if not isinstance(held, dict) or not all(isinstance(value, str) for value in held.values()):
        raise LookupFileError(file, "it is no JSON object with a text for each key")
    return held


def _of_csv(file: Path, text: str, key: str, value: str) -> dict[str, str]:
    if not key or not value:
        raise LookupFileError(file, "of CSV the mapping names `key_column:` and `value_column:`")
    found: dict[str, str] = {}
    try:
        rows = csv.reader(text.splitlines(keepends=True), strict=True)
        header = next(rows, [])
        at, of = header.index(key), header.index(value)
        for row in filter(None, rows):
            if row[at] in found and found[row[at]] != row[of]:
                raise LookupFileError(file, f"line {rows.line_num} gives a key a second value")
            found[row[at]] = row[of]
    except ValueError:
        raise LookupFileError(file, f"its header has no column {key} or {value}") from None
    except (csv.Error, IndexError) as error:
        raise LookupFileError(file, f"it is no CSV ({error})") from None
    return found
