"""The whole way of a file: looked at, compared with what was ingested before, sent, and said what became of it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from contracts.control_total import LONGEST_FILE_NAME
from core.errors import TieoutError
from core.text import shown
from data_generator.ingest.check_pass import Checked, Pass, check_file
from data_generator.ingest.errors import BadRowsError, GoneRowsError, KnownNameError, OverlapError, SourceError
from data_generator.ingest.feed_id import feed_id, file_total
from data_generator.ingest.mapper import Mapped
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.readback import read_ends
from data_generator.ingest.registry import SENT, KnownFile, Registry
from data_generator.ingest.sending import Sent, send_file, sent_before
from data_generator.ingest.source import Source
from data_generator.ingest.versions import refuse_gone_rows
from data_generator.produce import Context
from data_generator.progress import say

DRY_RUN, ALREADY_SENT = "dry run", "already sent"
# For --overlap: the rows are no rows of another file.
NO_OVERLAP = "none"


@dataclass(frozen=True)
class Asked:
    """What a person asks of a file.

    Attributes:
        max_bad_rows: how many rows may be refused; None: any number.
        changed: a file of a known name is a new version of it.
        keep_gone: how many rows of earlier versions the new one lacks.
        overlap: the file of which this one is another export; none: the rows are other ones; empty: nobody has said.
    """

    max_bad_rows: int | None = 0
    changed: bool = False
    keep_gone: int = 0
    overlap: str = ""


@dataclass(frozen=True)
class Report:
    """What became of a file.

    Attributes:
        outcome: sent, already sent, dry run or failed.
        checked: what it holds; None where it was already sent, and was not read again.
        run: its feed; None where it has none.
        known: the file of before, where it was already sent.
        seconds: of the whole.
    """

    source: Source
    mapping: FileMapping
    outcome: str
    seconds: float
    checked: Checked | None = None
    run: str | None = None
    known: KnownFile | None = None
    sent: Sent = field(default_factory=Sent)

    @property
    def error(self) -> TieoutError | None:
        """What ended it early."""
        return self.sent.error

    def as_json(self) -> dict[str, Any]:
        """Return it with amounts as text."""
        return {
            "ok": self.error is None,
            "file": self.source.name,
            "outcome": self.outcome,
            "run": self.run,
            "mapping": self.mapping.name,
            "contract": self.mapping.entity.version,
            **(_of_checked(self.checked) if self.checked else _of_known(self.known)),
            "acknowledged": self.sent.acknowledged,
            "continued": self.sent.continued,
            "closed": self.sent.closed,
            "seconds": round(self.seconds, 3),
        }


def _of_checked(checked: Checked) -> dict[str, Any]:
    sums = checked.sums
    return {
        "sha256": checked.sha256,
        "bytes": checked.size,
        "rows": sums.rows,
        "blank_rows": checked.blank,
        "sent": sums.sent.as_json(),
        "refused": sums.refused.as_json() | {"reasons": dict(sorted(sums.reasons.items()))},
        "left_out": sums.left_out.as_json(),
    }


def _of_known(known: KnownFile | None) -> dict[str, Any]:
    return {"sha256": known.sha256, "rows": known.total["rows"]["count"], "known_as": known.name} if known else {}


class FileRunner:
    """Brings files through, one after the other, by one mapping.

    Args:
        mapping: what becomes of their columns.
        asked: what a person asks of each of them.
        card_hash_key: CARD_HASH_KEY.
        context: the gateway's; None: files are looked at, and nothing is sent.
        registry: the files that were ingested; None with no context.
        auditor: the password of the user who may read the topic.
    """

    def __init__(
        self,
        mapping: FileMapping,
        asked: Asked,
        card_hash_key: str,
        context: Context | None = None,
        registry: Registry | None = None,
        *,
        auditor: str = "",
    ) -> None:
        self._mapping, self._asked, self._key = mapping, asked, card_hash_key
        self._context, self._registry, self._auditor = context, registry, auditor

    @staticmethod
    def is_of_file(error: TieoutError) -> bool:
        """Say whether an error is a file's own, so that others may still be brought through."""
        return isinstance(error, SourceError | BadRowsError | KnownNameError | GoneRowsError | OverlapError)

    def run(self, source: Source) -> Report:
        """Bring a file through: it is sent as a feed, unless the same bytes were sent by the same mapping before.

        Raises:
            TieoutError: it cannot be ingested; nothing of it was sent.
        """
        begun, mapping = time.monotonic(), self._mapping
        _check_name(source)
        if self._asked.overlap not in {"", NO_OVERLAP}:
            source = replace(source, id_name=self._asked.overlap)
        if self._registry is not None:
            known = self._registry.find_same(source.sha256(), mapping)
            if known is not None and known.state == SENT:
                return Report(source, mapping, ALREADY_SENT, time.monotonic() - begun, None, known.run, known)
        checked = check_file(source, mapping, self._key, self._asked.max_bad_rows, tell=_tell(source))
        if self._context is None or self._registry is None:
            return Report(source, mapping, DRY_RUN, time.monotonic() - begun, checked)
        with self._registry.only_one(f"the file {source.name}", f"the content {checked.sha256}"):
            same = self._registry.find_same(checked.sha256, mapping)
            if same is not None and same.state == SENT:
                return Report(source, mapping, ALREADY_SENT, time.monotonic() - begun, None, same.run, same)
            if not checked.sums.sent.rows:
                raise SourceError(
                    source.name,
                    f"none of its {checked.sums.rows} rows can be sent",
                    f"--dry-run with mapping {mapping.name} says what is wrong with the first of them",
                )
            if same is not None:
                source = replace(source, name=same.name, id_name=same.id_name)
            now, sent = self._send(source, checked, same, self._context, self._registry)
        outcome = "failed" if sent.error else "sent"
        return Report(source, mapping, outcome, time.monotonic() - begun, checked, now.run, None, sent)

    def _send(
        self, source: Source, checked: Checked, same: KnownFile | None, context: Context, registry: Registry
    ) -> tuple[KnownFile, Sent]:
        topic, total = self._mapping.entity.topic.name, file_total(source.name, checked)
        if same is None:
            known, there = self._begin(source, checked, context, registry), {}
        else:
            known, there = same, sent_before(same, context, self._auditor, topic)
        say(f"feed {known.run}: {checked.sums.sent.rows} rows of {shown(source.name)}")
        sent = send_file(source, self._mapping, checked, known, total, context=context, registry=registry, there=there)
        return known, sent

    def _begin(self, source: Source, checked: Checked, context: Context, registry: Registry) -> KnownFile:
        before = registry.find_name(source.name)
        if before is not None and before.sha256 != checked.sha256:
            if not self._asked.changed:
                raise KnownNameError(source.name, before.sha256, checked.sha256)
            say(f"{shown(source.name)} is a new version: its rows are compared with those of the earlier ones")
            entity, gone = self._mapping.entity, self._asked.keep_gone
            refuse_gone_rows(registry.connection, entity, source.name, self._ids(source), gone)
        if before is None and checked.sketch is not None and not self._asked.overlap:
            overlap = registry.find_overlap(source.name, checked.sketch, self._mapping)
            if overlap is not None:
                raise OverlapError(source.name, *overlap)
        ends = read_ends(context.broker, self._auditor, self._mapping.entity.topic.name)
        run, total = feed_id(source, checked, self._mapping), file_total(source.name, checked)
        changes = before.run if before is not None else None
        return registry.begin(run, checked, self._mapping, total, ends, changes=changes, id_name=source.id_name)

    def _ids(self, source: Source) -> Iterator[str]:
        """Yield the id of every row that is sent."""
        key = self._mapping.entity.key
        for outcome in Pass(source, self._mapping, self._key).outcomes():
            if isinstance(outcome, Mapped):
                yield str(orjson.loads(outcome.event.value or b"")[key])


def _check_name(source: Source) -> None:
    """Refuse a name that neither a control total nor the database can hold."""
    try:
        fits = len(source.name.encode()) and len(source.name) <= LONGEST_FILE_NAME and "\0" not in source.name
    except UnicodeEncodeError:
        fits = False
    if not fits:
        what = f"its name is empty, no UTF-8, or has more than {LONGEST_FILE_NAME:,} characters"
        raise SourceError(source.name[:200], what, "--name NAME gives it another one")


def _tell(source: Source) -> Any:
    """Return a function that says on stderr how many rows were looked at, every ten seconds."""
    begun = said = time.monotonic()

    def tell(rows: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= 10:
            said = now
            say(f"{shown(source.path.name)}: {rows} rows looked at, {rows / (now - begun):.0f} a second")

    return tell
