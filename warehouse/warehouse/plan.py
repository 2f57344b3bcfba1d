"""Which commits of the lake the next load takes."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from core.errors import TieoutError
from core.lake import LakeTable
from warehouse.delta_log import Commit, Gone, Lost, commits_after, table_id
from warehouse.watermark import Watermark


@dataclass(frozen=True)
class LoadRange:
    """The commits of one load.

    Attributes:
        loaded: offset behind the last one of the loads before, by partition.
        start: first offset of the load, by partition.
        end: offset behind the last one; dead letters beyond it wait.
        expected: how many offsets each partition must account for, in bronze or as dead letter.
        lost: offsets that are accepted as lost, which no row has.
        gaps: how many offsets of each partition are a transaction's by the stream's word; no row has them either.
        gone: topics in place of which another one is accepted.
        bronze: commits with rows, oldest first.
        dead_letters: commits with rows, of which some may lie before or beyond the range.
        bronze_watermark: what is loaded once this load is.
        dead_letter_watermark: the same for dead letters; None while there is no such table.
    """

    topic_id: str | None
    loaded: dict[int, int]
    start: dict[int, int]
    end: dict[int, int]
    expected: dict[int, int]
    lost: tuple[Lost, ...]
    gaps: dict[int, int]
    gone: tuple[Gone, ...]
    bronze: tuple[Commit, ...]
    dead_letters: tuple[Commit, ...]
    from_version: int
    dead_letter_from_version: int
    bronze_watermark: Watermark
    dead_letter_watermark: Watermark | None

    @property
    def rows(self) -> int:
        """Bronze rows as the stream recorded them."""
        return sum(commit.rows for commit in self.bronze)

    @property
    def is_empty(self) -> bool:
        """True when the commits hold no offset, such as after a compaction."""
        told = self.lost or self.gone or self.gaps
        return not any(self.expected.values()) and not told and not any(commit.files for commit in self.bronze)


def _take(commits: Iterator[Commit], max_rows: int, topic_id: str | None) -> list[Commit]:
    """Return whole commits of one topic up to the row limit; a first one that is larger comes alone."""
    taken: list[Commit] = []
    rows = 0
    for commit in commits:
        topic_changes = commit.topic_id is not None and topic_id is not None and commit.topic_id != topic_id
        if topic_changes and any(earlier.topic_id for earlier in taken):
            break
        if rows and rows + commit.rows > max_rows:
            break
        topic_id = commit.topic_id or topic_id
        taken.append(commit)
        rows += commit.rows
    return taken


@dataclass
class _Consumed:
    """What commits account for, by partition: start, end, how many offsets have a row, how many are a transaction's."""

    end: dict[int, int]
    start: dict[int, int] = field(default_factory=dict)
    expected: dict[int, int] = field(default_factory=dict)
    gaps: dict[int, int] = field(default_factory=dict)


def _consumed(commits: list[Commit], loaded: dict[int, int]) -> _Consumed:
    """Return what the commits account for.

    A batch that is replayed after a crash may record the offsets of the first try once more, so that a commit counts
    from where the one before it ended.
    """
    found = _Consumed(dict(loaded))
    end = found.end
    for commit in commits:
        for partition, behind in commit.end.items():
            begin = max(commit.start.get(partition, 0), end.get(partition, 0))
            behind_all = max(behind, end.get(partition, 0))
            found.start.setdefault(partition, begin)
            gone = sum(lost.behind - lost.begin for lost in _lost_from(commit, end) if lost.partition == partition)
            gaps = commit.gaps.get(partition, 0) if behind > begin else 0
            found.expected[partition] = found.expected.get(partition, 0) + max(behind - begin, 0) - gone - gaps
            if gaps:
                found.gaps[partition] = found.gaps.get(partition, 0) + gaps
            end[partition] = behind_all
    return found


def _lost_from(commit: Commit, end: dict[int, int]) -> list[Lost]:
    """Return a commit's losses, unless a replayed commit before it has told of them."""
    return [lost for lost in commit.lost if lost.begin >= end.get(lost.partition, 0)]


def _same_table(table: LakeTable, watermark: Watermark | None) -> str:
    found = table_id(table)
    if watermark and watermark.table_id != found:
        raise TieoutError(
            f"{table} is another table ({found}) than the one that is loaded up to version {watermark.version} "
            f"({watermark.table_id}).",
            "silver and the watermark are as the last load left them.",
            "put the lake back that this warehouse belongs to; or, once the stream has filled the new table, "
            f'./scripts/tieout load --accept-table {found} --reason "..."',
        )
    return found


def _plan_dead_letters(
    table: LakeTable, watermark: Watermark | None, topic_id: str | None, end: dict[int, int]
) -> tuple[tuple[Commit, ...], Watermark | None]:
    if not table.exists():
        return (), None
    identity = _same_table(table, watermark)
    before = watermark.version if watermark else -1
    version = before
    read: list[Commit] = []
    whole = True
    for commit in commits_after(table, before, identity):
        foreign = commit.topic_id is not None and commit.topic_id != topic_id
        if foreign and read:
            break
        whole = whole and not foreign and all(behind <= end.get(p, 0) for p, behind in commit.end.items())
        if whole:
            version = commit.version
        if commit.files and not foreign:
            read.append(commit)
        if commit.end and all(commit.start.get(p, 0) >= end.get(p, 0) for p in commit.end) and not whole:
            break
    return tuple(read), Watermark(identity, version, topic_id, end)


def plan_next(
    bronze: LakeTable,
    dead_letters: LakeTable,
    loaded: Watermark | None,
    loaded_dead_letters: Watermark | None,
    max_rows: int,
) -> LoadRange | None:
    """Return the next load's commits; None when the lake has no commit behind the watermark.

    Args:
        bronze: the Delta table of well-formed events.
        dead_letters: the Delta table of malformed ones.
        loaded: watermark of bronze.
        loaded_dead_letters: watermark of the dead letters.
        max_rows: bound of a load; whole commits are taken, a larger one alone.

    Raises:
        TieoutError: the log has a gap, is another table's, or holds a change that is not an append.
    """
    if not bronze.exists():
        return None
    identity = _same_table(bronze, loaded)
    before = loaded.version if loaded else -1
    taken = _take(commits_after(bronze, before, identity), max_rows, loaded.topic_id if loaded else None)
    if not taken:
        return None
    topic_id = next((c.topic_id for c in reversed(taken) if c.topic_id), loaded.topic_id if loaded else None)
    ends = loaded.ends if loaded and loaded.topic_id == topic_id else {}
    consumed = _consumed(taken, ends)
    end = consumed.end
    lost = tuple({(lost.partition, lost.begin): lost for c in taken for lost in _lost_from(c, ends)}.values())
    letters, letters_watermark = _plan_dead_letters(dead_letters, loaded_dead_letters, topic_id, end)
    return LoadRange(
        topic_id=topic_id,
        loaded=ends,
        start=consumed.start,
        end=end,
        expected=consumed.expected,
        lost=lost,
        gaps=consumed.gaps,
        gone=tuple(c.gone for c in taken if c.gone),
        bronze=tuple(c for c in taken if c.files),
        dead_letters=letters,
        from_version=before + 1,
        dead_letter_from_version=(loaded_dead_letters.version if loaded_dead_letters else -1) + 1,
        bronze_watermark=Watermark(identity, taken[-1].version, topic_id, end),
        dead_letter_watermark=letters_watermark,
    )


def plan_nothing(bronze: Watermark, dead_letters: Watermark | None) -> LoadRange:
    """Return a load that reads none of the lake, such as one for new control totals alone."""
    return LoadRange(
        topic_id=bronze.topic_id,
        loaded=bronze.ends,
        start={},
        end=bronze.ends,
        expected={},
        lost=(),
        gaps={},
        gone=(),
        bronze=(),
        dead_letters=(),
        from_version=bronze.version + 1,
        dead_letter_from_version=(dead_letters.version if dead_letters else -1) + 1,
        bronze_watermark=bronze,
        dead_letter_watermark=dead_letters,
    )


def plan_lost(nothing: LoadRange, topic_id: str, loaded: dict[int, int], lost: tuple[Lost, ...]) -> LoadRange:
    """Return a load that reads none of the lake and accounts for what is lost of a topic.

    Args:
        nothing: from plan_nothing.
        topic_id: the topic.
        loaded: the offset behind the last one that any load of it had, by partition.
        lost: one loss a partition, each from there on.
    """
    return replace(
        nothing,
        topic_id=topic_id,
        loaded=loaded,
        start={each.partition: each.begin for each in lost},
        end=loaded | {each.partition: each.behind for each in lost},
        expected=dict.fromkeys((each.partition for each in lost), 0),
        lost=lost,
    )
