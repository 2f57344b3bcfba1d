"""Run the equations on one snapshot of the warehouse, and write down what they gave."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from core.lake import BRONZE, Lake
from core.layout import Layout, find_layout
from core.niceness import pass_on
from core.settings import Settings, load_settings
from warehouse.delta_log import newest_record
from warehouse.errors import DatabaseAwayError
from warehouse.proof import books, feeds, marts
from warehouse.proof.audit_gaps import explain_missing, unexplained_loads
from warehouse.proof.deep import prove_with_kafka
from warehouse.proof.equation import DIFFERENT, OPEN, UNATTESTED, Equation
from warehouse.proof.explain import explain_differences, name_days
from warehouse.proof.forward import Forward, read_forward, write_forward
from warehouse.proof.lake import prove_lake
from warehouse.settle import Ends
from warehouse.watermark import read_watermark

# A load that is under way commits once; a third snapshot is taken as it is.
_TRIES = 3


def run_proof(
    full: bool = False,
    strict: bool = False,
    *,
    deep: bool = False,
    explain: bool = False,
    run_id: str | None = None,
    settings: Settings | None = None,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Prove E0 to E4 and write the result to metadata.proof.

    It runs as role dbt, which reads raw, metadata and its own marts, and may add rows to metadata.proof.

    Args:
        full: recompute everything from the lake's files, silver's rows and the marts' rows.
        strict: an OPEN equation is not fine either.
        deep: read Kafka again with the other client, and hold the lake against it.
        explain: name the offsets and transactions behind each difference.
        run_id: the run that asks for it, kept with what was found.
        settings: the warehouse's; read from the home when not given.
        layout: where the lake is.

    Returns:
        what `tieout proof --json` prints.

    Raises:
        TieoutError: the database is away, or the lake or Kafka cannot be read.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    checked_at = datetime.now(UTC)
    explained: list[dict[str, Any]] | None = None
    try:
        with _snapshot(settings, checked_at, full=full) as (connection, before):
            proof = _Proof(connection, settings, layout, before)
            equations = list(proof.equations())
            if deep:
                unattested = [str(e.scope["feed"]) for e in equations if e.verdict == UNATTESTED and "feed" in e.scope]
                equations += prove_with_kafka(settings, layout, unattested)
            equations = name_days(connection, equations)
            if explain:
                explained = explain_differences(connection, layout, settings, equations)
            forward = proof.bring_forward() if books.all_equal(equations) else None
        # The snapshot is over: another proof that wrote meanwhile must not turn this one back.
        with psycopg.connect(settings.dsn("dbt")) as connection:
            proof_id = _write(connection, checked_at, equations, run_id)
            if forward is not None or full:
                write_forward(connection, proof_id, checked_at, forward)
            # Lines are kept for a week; of older ones the differences, and by day how many lines had which verdict.
            connection.execute("select metadata.prune_proofs()")
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, "nothing was proven or written.") from None
    bad = {DIFFERENT, OPEN} if strict else {DIFFERENT}
    return {
        "ok": not any(equation.verdict in bad for equation in equations),
        "checked_at": checked_at.isoformat(),
        "equations": [equation.as_json() for equation in equations],
        **({} if explained is None else {"explained": explained}),
    }


@contextmanager
def _snapshot(
    settings: Settings, checked_at: datetime, *, full: bool
) -> Iterator[tuple[psycopg.Connection[Any], Forward | None]]:
    """Yield a session with one snapshot for all equations, and what the last proof left; None for a full one.

    What loads have passed without an event is read again before it. A load that commits in between is in the snapshot
    and was not asked about, so that it is done once more.
    """
    asked: set[int] = set()
    for tries_left in reversed(range(_TRIES)):
        with psycopg.connect(settings.dsn("dbt")) as connection:
            pass_on(connection)
            asked |= explain_missing(connection, settings, 0 if full else read_forward(connection, checked_at).load_id)
        with psycopg.connect(settings.dsn("dbt")) as connection:
            pass_on(connection)
            # The lake is read behind the snapshot, and so never older than it.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("set timezone = 'UTC'")
            before = None if full else read_forward(connection, checked_at)
            if not tries_left or unexplained_loads(connection, before.load_id if before else 0) <= asked:
                yield connection, before
                return


class _Proof:
    """One proof: what it reads once, and what it leaves to the next.

    Args:
        before: what the last proof left; None for a full one, which begins at the lake.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], settings: Settings, layout: Layout, before: Forward | None
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._layout = layout
        self._full = before is None
        self._before = before or Forward()
        watermark = read_watermark(connection, BRONZE)
        # Before the files: what a running stream commits from here on is in them, but is not asked for.
        self._topic_id, self._lake_ends = newest_record(Lake.of(settings, layout).bronze)
        self._loaded = watermark.ends if watermark else {}
        self._loaded_topic = watermark.topic_id if watermark else None
        self._ends = Ends(connection, self._loaded_topic, self._loaded)
        self._feeds_before = feeds.feeds_forward(connection, self._before)
        self._feeds = list(feeds.read_feeds(connection, self._feeds_before.load_id))
        self._marts = marts.read_marts(connection, self._before, full=self._full)

    def equations(self) -> Iterable[Equation]:
        """Yield every line, E0 first."""
        by_totals = [
            *feeds.fold_feeds(self._feeds, self._feeds_before, self._ends),
            *feeds.lost_beyond_acceptance(self._connection),
            *books.offsets_by_totals(self._connection, self._before, self._known()),
            *books.loads_by_totals(self._connection, self._before),
        ]
        if self._full:
            yield from prove_lake(self._connection, self._settings, self._layout, by_totals)
        else:
            yield from by_totals
        same_topic = self._loaded_topic == self._topic_id
        yield from books.not_loaded(self._lake_ends, self._loaded if same_topic else {})
        yield from marts.prove_marts(self._connection, self._marts, self._before)

    def bring_forward(self) -> Forward:
        """Return what the next proof begins with. Call it when nothing is different."""
        sides = books.read_loads(self._connection, self._before.load_id)
        older = {load_id for load_id, _ in sides} - books.newest_loads(sides)
        upto = max(older, default=self._before.load_id)
        return Forward(
            load_id=upto,
            processed_load_id=self._marts.processed_load_id,
            epoch=self._marts.epoch,
            seq=self._marts.seq,
            balances={
                **feeds.bring_feeds_forward(self._feeds, self._feeds_before, upto, self._ends),
                **books.bring_offsets_forward(self._connection, self._before, upto),
                **books.bring_loads_forward(sides, self._before, upto),
                **marts.bring_marts_forward(self._marts),
            },
        )

    def _known(self) -> dict[tuple[str, int], int]:
        return {(self._loaded_topic or "", partition): end for partition, end in self._loaded.items()}


def _write(
    connection: psycopg.Connection[Any], checked_at: datetime, equations: list[Equation], run_id: str | None
) -> Any:
    proof_id = uuid4()
    rows = [
        (
            *(proof_id, checked_at, e.name, Jsonb(dict(e.scope)), e.currency),
            *(e.left.count, e.left.amount, e.right.count, e.right.amount, e.verdict, run_id),
        )
        for e in equations
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into metadata.proof (proof_id, checked_at, equation, scope, currency, left_count, left_amount,"
            " right_count, right_amount, verdict, run_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
    return proof_id
