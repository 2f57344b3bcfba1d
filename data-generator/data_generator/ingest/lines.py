"""The lines of a text file, each with the byte at which it begins."""

import codecs
import io
from collections.abc import Iterator
from typing import Final

from data_generator.ingest.errors import SourceError
from data_generator.ingest.source import Source

# More than any event has: a file without line ends is not read into memory whole.
LONGEST_LINE: Final = 1 << 20
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE: Final = ("utf-16", "utf-32")


class Lines:
    """Lines with their ends, as an iterator of texts.

    What is no text of the encoding stays in a line as lone surrogates: `is_text` tells.

    Args:
        source: for errors.
        stream: the unpacked bytes.
        encoding: of the text, where no byte order mark says it.

    Attributes:
        encoding: what the text is read as.
        offset: the byte behind the lines that were taken.
        line: how many lines were taken.

    Raises:
        SourceError: the text is plainly of another encoding.
    """

    def __init__(self, source: Source, stream: io.BufferedReader, encoding: str) -> None:
        self._source = source
        begin = stream.peek(4)[:4]
        mark, marked = next(((mark, name) for mark, name in _MARKS if begin.startswith(mark)), (b"", None))
        self.encoding = marked or codecs.lookup(encoding).name
        if marked is None:
            self._refuse_unmarked(stream)
        stream.read(len(mark))
        self.offset = len(mark)
        self.line = 0
        errors = "strict" if self.encoding.startswith(_WIDE) else "surrogateescape"
        self._text = io.TextIOWrapper(stream, self.encoding, errors, newline="")
        self._is_ascii_safe = not self.encoding.startswith(_WIDE)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            text = self._text.readline(LONGEST_LINE + 1)
        except UnicodeDecodeError as error:
            raise SourceError(
                self._source.name,
                f"it is no {self.encoding} text ({error.reason})",
                "say in the mapping, as `csv: {encoding: ...}`, what it is; or fetch the file again",
                self.line + 1,
            ) from None
        if not text:
            raise StopIteration
        self.line += 1
        if len(text) > LONGEST_LINE:
            raise SourceError(
                self._source.name,
                f"the line has more than {LONGEST_LINE:,} characters",
                "it is no file of rows, or its line ends are lost; export it again",
                self.line,
            )
        self.offset += self.length(text)
        return text

    def length(self, text: str) -> int:
        """Return how many bytes a text of this file has there."""
        if self._is_ascii_safe and text.isascii():
            return len(text)
        return len(text.encode(self.encoding, "surrogateescape"))

    def is_text(self, text: str) -> bool:
        """Say whether a text was wholly of the encoding."""
        return text.isascii() or not any("\udc80" <= char <= "\udcff" for char in text)

    def close(self) -> None:
        """Let the stream go; whoever opened it closes it."""
        self._text.detach()

    def _refuse_unmarked(self, stream: io.BufferedReader) -> None:
        """Refuse UTF-16 and UTF-32 without a mark: read as anything else it would be refused row by row."""
        begin = stream.peek(256)[:256]
        if self.encoding.startswith(_WIDE) or b"\0" not in begin:
            return
        even, odd = begin[0::2].count(0), begin[1::2].count(0)
        if max(even, odd) * 4 > len(begin):
            guess = "utf-16-be" if even > odd else "utf-16-le"
            raise SourceError(
                self._source.name,
                f"it looks like UTF-16 without a byte order mark, and the mapping says {self.encoding}",
                f"write `encoding: {guess}` below `csv:` in the mapping, or export the file as UTF-8",
                1,
            )
