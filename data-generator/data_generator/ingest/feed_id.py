"""A file is a feed: its id is the sender and one hash over all that makes its events what they are."""

import json
from hashlib import sha256

from contracts.control_total import GATEWAY, FileTotal, Rows
from data_generator.ingest.check_pass import Checked
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.source import Source


def feed_id(source: Source, checked: Checked, mapping: FileMapping) -> str:
    """Return the id of a file's feed, 77 characters.

    Args:
        source: its name in the books, and the name that its ids are made with.
        checked: size and hash of its bytes.
        mapping: and the contract, whose version counts too.
    """
    parts = [source.name, source.id_name, checked.size, checked.sha256, mapping.sha256, mapping.entity.version]
    return f"{GATEWAY}-file-{sha256(json.dumps(parts).encode()).hexdigest()}"


def file_total(name: str, checked: Checked) -> FileTotal:
    """Return what the control totals of a file's feed say of the file."""
    sums = checked.sums
    apart = (Rows(part.rows, part.amounts) for part in (sums.refused, sums.left_out))
    return FileTotal(name, checked.sha256, Rows(sums.rows, sums.amounts), *apart)
