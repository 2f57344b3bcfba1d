"""Rows of JSON lines: an object a line, every value as the text that stands there."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from data_generator.ingest.errors import SourceError
from data_generator.ingest.lines import Lines
from data_generator.ingest.record import COLUMN_MISSING, ROW_ENCODING, ROW_JSON, Problem, Record
from data_generator.ingest.source import Source


class _NoJsonError(ValueError):
    """What is wrong with a line."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NoJsonError("a key is there twice")
    return found


def _no_constant(text: str) -> None:
    raise _NoJsonError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_constant, object_pairs_hook=_pairs)


class JsonRows:
    """The rows of a file with a JSON object a line.

    Args:
        source: the file.
        wanted: the keys whose values are asked for; `a.b` is the key b of the object a.
        encoding: of the text.
        needed: those of the keys that some line has to have; others may be absent wherever they would be null.

    Attributes:
        blank: lines without anything, passed over.
    """

    def __init__(
        self, source: Source, wanted: Sequence[str], encoding: str = "utf-8", needed: Sequence[str] = ()
    ) -> None:
        self._source = source
        self._encoding = encoding
        self._paths = [tuple(name.split(".")) for name in wanted]
        self._needed = frozenset(needed)
        self.blank = 0
        self.header: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Record]:
        self.blank = 0
        with self._source.open() as stream:
            lines = Lines(self._source, stream, self._encoding)
            try:
                yield from self._records(lines)
            finally:
                lines.close()

    def _records(self, lines: Lines) -> Iterator[Record]:
        found = dict.fromkeys(self._paths, False)
        offset, count = lines.offset, 0
        for text in lines:
            at, offset = offset, lines.offset
            line = text.rstrip("\r\n")
            if not line.strip():
                self.blank += 1
                continue
            count += 1
            if count == 1 and line.lstrip().startswith("["):
                raise SourceError(
                    self._source.name,
                    "it is a JSON array, and not an object a line",
                    "write an object a line, as `jq -c '.[]' FILE` does",
                    lines.line,
                )
            if not line.isascii() and not lines.is_text(line):
                problem = Problem(ROW_ENCODING, f"the line holds bytes that are no {lines.encoding}")
                yield Record(lines.line, at, line, None, problem)
                continue
            try:
                held = _DECODER.decode(line)
                if not isinstance(held, dict):
                    raise _NoJsonError("it is no object")
            except (ValueError, RecursionError) as error:
                said = str(error) if isinstance(error, _NoJsonError) else "it cannot be parsed"
                yield Record(lines.line, at, line, None, Problem(ROW_JSON, f"the line is no JSON object: {said}"))
                continue
            values = [_value(held, path, found) for path in self._paths]
            yield Record(lines.line, at, line, values)
        absent = (".".join(path) for path, is_there in found.items() if not is_there)
        missing = [name for name in absent if name in self._needed]
        if count and missing:
            raise SourceError(
                self._source.name,
                f"no line has the key {', '.join(missing)} ({COLUMN_MISSING})",
                "name the file's own keys in the mapping, or use another mapping",
            )


def _value(held: Any, path: tuple[str, ...], found: dict[tuple[str, ...], bool]) -> str | None:
    for step in path:
        if not isinstance(held, dict) or step not in held:
            return None
        held = held[step]
    found[path] = True
    if held is None or isinstance(held, str):
        return held
    if isinstance(held, bool):
        return "true" if held else "false"
    return json.dumps(held, ensure_ascii=False)
