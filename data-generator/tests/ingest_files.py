"""Small files and mappings for the tests of ingest."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from data_generator.ingest.check_pass import Pass
from data_generator.ingest.mapper import LeftOut, Mapped, Refused
from data_generator.ingest.mapping import FileMapping, read_mapping
from data_generator.ingest.source import Source

FIELDS = """
fields:
  transaction_id: {column: id}
  customer_id: {column: customer}
  merchant_name: {column: shop}
  merchant_category: {constant: shops}
  amount: {column: amount%s}
  currency: {column: currency}
  payment_method: {constant: UPI}
  status: {constant: SUCCESS}
  timestamp: {column: at, written: {format: "%%Y-%%m-%%d %%H:%%M:%%S", zone: UTC}}
"""
HEADER = "id,customer,shop,amount,currency,at\n"
GOOD = 'a1,c1,Shop One,10.50,USD,2024-05-01 10:00:00\na2,c2,"Two, Shop",7,USD,2024-05-01 11:00:00\n'


@dataclass(frozen=True)
class Found:
    """What a pass has found.

    Attributes:
        sent: the events' bytes, in their order.
        rows: the lines of those events.
    """

    sent: list[bytes]
    rows: list[int]
    refused: list[Refused]
    left_out: list[LeftOut]
    blank: int

    @property
    def codes(self) -> list[set[str]]:
        """The reason codes of each refused row."""
        return [{problem.code for problem in each.problems} for each in self.refused]


def write_mapping(folder: Path, text: str = "", *, written: str = "", name: str = "own") -> FileMapping:
    """Return a mapping of the small file's columns, with further keys; `written` says how its amounts are."""
    file = folder / f"{name}.yaml"
    amount = f", written: {{{written}}}" if written else ""
    file.write_text("about: a test.\n" + textwrap.dedent(text) + FIELDS % amount, encoding="utf-8")
    return read_mapping(file)


def read(folder: Path, content: bytes | str, mapping: FileMapping | None = None, name: str = "file.csv") -> Found:
    """Return what a pass over a file with this content finds."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(Source(file, name, mapping.form.member if mapping else None), mapping or write_mapping(folder))


def read_file(source: Source, mapping: FileMapping) -> Found:
    """Return what a pass over a file finds."""
    reading = Pass(source, mapping, "key")
    outcomes = list(reading.outcomes())
    sent = [each for each in outcomes if isinstance(each, Mapped)]
    assert reading.sums.rows == len(outcomes)
    return Found(
        [each.event.value or b"" for each in sent],
        [each.record.line for each in sent],
        [each for each in outcomes if isinstance(each, Refused)],
        [each for each in outcomes if isinstance(each, LeftOut)],
        reading.blank,
    )
