"""Which loads the marts held at a moment: those of the builds that had finished well by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from core.errors import OutageError, TieoutError

Connection = psycopg.Connection[Any]


class RestateError(TieoutError):
    """The marts cannot be compared with what they said before."""


class UnsettledError(OutageError):
    """A build is between the fact and its summary."""


@dataclass(frozen=True)
class Moment:
    """What had been built at a moment.

    Attributes:
        at: the moment.
        build_id: the last build that finished well by then; None: there was none.
        finished_at: when it did.
        later: loads that the marts hold now and did not hold then.
        definitions: hash of models and seeds of that build.
        failed: builds that finished behind it, by the moment, and failed: what they left half-done is not counted.
    """

    at: datetime | None
    build_id: str | None
    finished_at: datetime | None
    later: Sequence[int]
    definitions: str | None
    failed: int

    def as_json(self) -> dict[str, Any]:
        """Return the moment for `--json`."""
        return {
            "at": self.at.isoformat() if self.at else None,
            "build_id": self.build_id,
            "build_finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "failed_builds_behind_it": self.failed,
        }


# A build that succeeds takes up the loads of those that failed since the one before it, so nothing is missed.
_LATER = """
select coalesce(array_agg(load_id order by load_id), '{}')
from metadata.processed_loads as p
where not exists (
    select from metadata.build_loads as l join metadata.builds as b using (build_id)
    where l.load_id = p.load_id and b.status = 'SUCCESS' and b.finished_at <= %(at)s
)
"""
_LAST = """
select build_id::text, finished_at, project_hash from metadata.builds
where status = 'SUCCESS' and finished_at <= %(at)s order by finished_at desc limit 1
"""
_FAILED = """
select count(*) from metadata.builds
where status = 'FAILED' and finished_at <= %(at)s and (%(last)s::timestamptz is null or finished_at > %(last)s)
"""


def moment(db: Connection, at: datetime | None) -> Moment:
    """Return what had been built at a moment; None: what the marts hold now."""
    when = at or "infinity"
    last = db.execute(_LAST, {"at": when}).fetchone() or (None, None, None)
    failed = db.execute(_FAILED, {"at": when, "last": last[1]}).fetchone()
    later: Sequence[int] = []
    if at is not None:
        row = db.execute(_LATER, {"at": at}).fetchone()
        later = row[0] if row else []
    return Moment(at, last[0], last[1], later, last[2], int(failed[0]) if failed else 0)


def require_summary(db: Connection) -> None:
    """Refuse to speak of a summary that is not there, or that is behind the fact.

    Raises:
        RestateError: nothing was built yet.
        UnsettledError: a build is under way, or one failed between the two.
    """
    row = db.execute("select to_regclass('marts.daily_revenue_summary') is not null").fetchone()
    if not row or not row[0]:
        raise RestateError("there is no daily summary yet.", "nothing was changed.", "./scripts/tieout run")
    level = db.execute("""
        select count(distinct (epoch, seq)) = 1 and count(*) = 2 from metadata.consumer_watermarks
        where consumer in ('fact_transactions', 'daily_revenue_totals')
    """).fetchone()
    if not level or not level[0]:
        raise UnsettledError(
            "the daily summary is behind the fact: a build is under way, or one has failed.",
            "nothing was changed.",
            "the same command once ./scripts/tieout build is done",
        )
