"""Mechanism Y: each chunk as soon as it is there, one at a time in the order of their numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from patterns.apply import ReadChunk, apply_chunk, fix_files
from patterns.bad_chunk import BadChunkError, Problem
from patterns.chunker import Clock
from patterns.detection_files import put_files
from patterns.inbox import WHOLE_LISTING, Fetched, Inbox, Listed
from patterns.judge import Verdicts
from patterns.ledger import Applied, Connection, Watch, load_applied, load_known, load_state, load_weights, note
from patterns.place import Folder
from patterns.state import Group
from patterns.waiting import Say, patiently

POLL_SECONDS = 0.05


class Reader(Protocol):
    """What reads the rows of a chunk: `patterns.spark.Spark`."""

    def read_chunk(self, data: bytes, header: tuple[str, ...], /) -> Any:
        """Return the rows as an Arrow table."""


@dataclass(frozen=True)
class Patience:
    """How long a watch waits.

    Attributes:
        gap: until a chunk that is missing before others is named.
        idle: without a new chunk, until the detections that are left are written to a shorter file.
        is_once: end when everything that is there is read.
    """

    gap: timedelta
    idle: timedelta
    is_once: bool = False


@dataclass(frozen=True)
class Done:
    """A chunk that counts now.

    Attributes:
        committed_at: seconds since 1970.
    """

    number: int
    name: str
    rows: int
    refused: int
    detections: int
    seen_at: float
    committed_at: float


class Watcher:
    """Reads the chunks of one folder for one watch.

    Args:
        connection: of the ledger, with its lock.
        watch: what is looked for.
        reader: reads chunks.
        source: where the chunks are.
        target: where files of detections go.
        patience: how long to wait.
        clock: time; its pause ends on a signal.
        say: takes a line for people.
        told: takes each chunk that counts.
    """

    def __init__(
        self,
        connection: Connection,
        watch: Watch,
        reader: Reader,
        *,
        source: Folder,
        target: Folder,
        patience: Patience,
        clock: Clock,
        say: Say,
        told: Callable[[Done], None] = lambda _: None,
    ) -> None:
        self._connection, self._watch, self._reader = connection, watch, reader
        self._target, self._patience, self._clock, self._say, self._told = target, patience, clock, say, told
        self._applied = load_applied(connection, watch.watch_id)
        self._state = load_state(connection, watch.watch_id)
        self._known = load_known(connection, watch.watch_id)
        self._weights = load_weights(connection, watch)
        self._weights.prepare()
        self._inbox = Inbox(source.place, source.name, self._applied, self._now)
        self._noted = set[tuple[Problem, str]]()
        self._retry_at: datetime | None = None
        self._moved_at = self._now()

    @property
    def is_at_end(self) -> bool:
        """Whether the input is read to its end."""
        return any(each.is_last for each in self._applied.values())

    def run(self) -> bool:
        """Read chunks until their input ends, or until a signal; return whether it has ended.

        Raises:
            OutageError: Spark or the database is away; the same command goes on.
        """
        self._put()  # what a killed process left
        while True:
            is_whole = self._patiently(self._inbox.look)
            if is_whole:
                self._check_applied()
            if self._take_next():
                if self._clock.pause(0):
                    continue
                return False
            if self.is_at_end:
                self._end()
                return True
            if self._patience.is_once or self._now() - self._moved_at > self._patience.idle:
                self._write_rest()
            if self._patience.is_once or not self._clock.pause(POLL_SECONDS):
                return self.is_at_end

    def _take_next(self) -> bool:
        """Apply the next chunk, if it is there; return whether it was."""
        if self._retry_at and self._now() < self._retry_at:
            return False
        number = max(self._applied, default=0) + 1
        before = self._applied.get(number - 1)
        try:
            fetched = self._patiently(lambda: self._inbox.fetch(number, before.next_row if before else 0))
            if fetched is None:
                self._name_gap(number)
                return False
            chunk = self._read(fetched)
        except BadChunkError as error:
            self._note(error.kind, error.subject, f"{error.says}; chunks from {number} on wait", number)
            self._retry_at = self._now() + WHOLE_LISTING
            return False
        self._retry_at = None
        self._apply(chunk)
        return True

    def _read(self, fetched: Fetched) -> ReadChunk:
        import pyarrow.compute as pc  # noqa: PLC0415  (heavy)

        listed = fetched.listed
        table = self._reader.read_chunk(fetched.data, fetched.header)
        rows = pc.add(table["row"], listed.name.first_row)
        table = table.set_column(table.schema.get_field_index("row"), "row", rows)
        is_good = pc.equal(table["reasons"], "")
        bad = table.filter(pc.invert(is_good))
        refused = [
            (row, text.split())
            for row, text in zip(*(bad[name].to_pylist() for name in ("row", "reasons")), strict=True)
        ]
        if fetched.claim is not None and table.num_rows != fetched.claim.rows:
            raise BadChunkError(
                Problem.CUT_OFF,
                listed.name.text,
                f"chunk {listed.name.number}, {listed.name.text}, has {table.num_rows} rows, and its claim says "
                f"{fetched.claim.rows}",
            )
        return ReadChunk(
            number=listed.name.number,
            name=listed.name.text,
            version=listed.entry.version,
            size=len(fetched.data),
            sha256=fetched.sha256,
            first_row=listed.name.first_row,
            is_last=fetched.claim is not None and fetched.claim.is_last,
            payments=table.filter(is_good).drop_columns(["reasons"]),
            refused=refused,
            seen_at=listed.seen_at,
        )

    def _apply(self, chunk: ReadChunk) -> None:
        touched = self._state.add(groups_of(chunk.payments))
        detected = len(self._known)
        verdicts: Verdicts = self._known.learn(self._state, touched, self._watch.rules, self._weights)
        apply_chunk(self._connection, self._watch, chunk, verdicts, detected=detected, now=self._now())
        committed = self._clock.now()
        self._applied[chunk.number] = Applied(
            chunk.number, chunk.name, chunk.version, chunk.sha256, chunk.first_row + chunk.rows, chunk.is_last
        )
        self._moved_at = self._now()
        self._told(
            Done(
                number=chunk.number,
                name=chunk.name,
                rows=chunk.rows,
                refused=len(chunk.refused),
                detections=len(verdicts.new),
                seen_at=chunk.seen_at.timestamp(),
                committed_at=committed,
            )
        )
        if chunk.refused:
            self._say(f"chunk {chunk.number}: {len(chunk.refused)} rows cannot be read; patterns.refused_rows says why")
        if len(self._known) > detected:
            self._put()

    def _name_gap(self, number: int) -> None:
        later: list[Listed] = self._inbox.waiting(number)
        if later and self._now() - min(each.seen_at for each in later) > self._patience.gap:
            last = later[-1].name.number
            wait = f"chunk {last} waits" if last == number + 1 else f"chunks up to {last} wait"
            self._note(Problem.GAP, f"chunk {number}", f"chunk {number} is missing; {wait}", number)

    def _check_applied(self) -> None:
        """Name what has become of chunks that count already; they count as they were read."""
        for name, counted in self._inbox.doubled():
            self._note(
                Problem.DOUBLED,
                name.text,
                f"{name.text} is chunk {name.number} once more; {counted} counts",
                name.number,
            )
        for chunk, sha256 in self._patiently(self._inbox.replaced):
            says = f"{chunk.name} was replaced after it was read: SHA-256 {chunk.sha256} counts, {sha256} is there now"
            self._note(Problem.REPLACED, chunk.name, says, chunk.number)

    def _note(self, kind: Problem, subject: str, says: str, chunk: int) -> None:
        if (kind, subject) not in self._noted:
            self._noted.add((kind, subject))
            note(self._connection, self._watch.watch_id, kind, subject, says, chunk=chunk)
            self._say(says)

    def _write_rest(self) -> None:
        """Let the detections that are left make a shorter file."""
        self._moved_at = self._now()
        if self._applied:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                fix_files(cursor, self._watch, max(self._applied), self._now(), is_end=True)
            self._put()

    def _end(self) -> None:
        self._write_rest()
        pairs = ((name, each) for name, merchant in self._state.merchants.items() for each in merchant.pairs)
        unweighted = {customer for name, customer in pairs if self._weights.rank(customer, name) is None}
        if unweighted:
            self._say(f"{len(unweighted)} customers have no weight; patterns.customers_without_weight lists them")
        self._connection.execute(
            "update patterns.watches set ended_at = clock_timestamp() where watch_id = %s and ended_at is null",
            [self._watch.watch_id],
        )

    def _put(self) -> None:
        self._patiently(lambda: put_files(self._connection, self._watch, self._target.place, self._target.name))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _patiently(self, action: Callable[[], Any]) -> Any:
        return patiently(action, self._say, self._clock.pause)


def groups_of(payments: Any) -> list[Group]:
    """Return an Arrow table of payments, grouped."""
    names = ["merchant", "customer", "gender"]
    found = payments.group_by(names).aggregate([("amount", "count"), ("amount", "sum")])
    columns = (found[name].to_pylist() for name in (*names, "amount_count", "amount_sum"))
    return [Group(*each) for each in zip(*columns, strict=True)]
