"""Run the equations on one snapshot of the warehouse, and write down what they gave."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import duckdb
import psycopg
from psycopg.types.json import Jsonb

from contracts.entities import entity_names, readable_entities
from contracts.model import Entity
from core.errors import TieoutError
from core.layout import Layout, find_layout
from core.niceness import pass_on
from core.parts import Parts
from core.schema_revision import require_revision
from core.settings import Settings, load_settings
from warehouse.errors import DatabaseAwayError, without_rows
from warehouse.proof import books
from warehouse.proof.audit_gaps import explain_missing, unexplained_loads
from warehouse.proof.context import Context
from warehouse.proof.deep import prove_with_kafka
from warehouse.proof.entity_proof import EntityProof
from warehouse.proof.equation import DIFFERENT, OPEN, UNATTESTED, Equation, Side, name_entity
from warehouse.proof.explain import explain_differences, name_days
from warehouse.proof.forward import Forward, read_forward, write_forward

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
    """Prove E0 to E4 of every entity and write the result to metadata.proof.

    It runs as role dbt, which reads raw, metadata and its own marts, and may add rows to metadata.proof.

    Args:
        full: recompute everything from the lake's files, silver's rows and the marts' rows.
        strict: an OPEN equation is not fine either.
        deep: read Kafka again with the other client, and hold the lake against it.
        explain: name the offsets and keys behind each difference.
        run_id: the run that asks for it, kept with what was found.
        settings: the warehouse's; read from the home when not given.
        layout: where the lake is.

    An entity whose books cannot be read does not stop the others: a line says so, and its error comes at the end.

    Returns:
        what `tieout proof --json` prints.

    Raises:
        TieoutError: the database is away, or the lake or Kafka cannot be read. Where that is so of some entities only,
            the others are proven, and `done` of the error is what would have been returned.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    checked_at = datetime.now(UTC)
    explained: list[dict[str, Any]] | None = None
    parts = Parts(entity_names())
    try:
        with _snapshot(settings, checked_at, parts, full=full) as (connection, before, entities):
            begun: list[EntityProof] = []
            equations: list[Equation] = []
            for entity in entities:
                with _reading_books(parts, connection, entity):
                    proof = EntityProof(Context(connection, settings, layout, entity), before.get(entity.name))
                    if proof.has_begun():
                        equations += list(_equations(proof, deep=deep))
                        begun.append(proof)
            if not parts.well:
                parts.raise_failed()
            equations += [line for name, error in parts.failed.items() for line in _not_proven(name, error)]
            if explain:
                explained = explain_differences(connection, layout, settings, equations)
            forward = None
            if books.all_equal(equations):
                forward = {proof.context.entity.name: proof.bring_forward() for proof in begun}
        # The snapshot is over: another proof that wrote meanwhile must not turn this one back.
        with psycopg.connect(settings.dsn("dbt")) as connection:
            require_revision(connection)
            proof_id = _write(connection, checked_at, equations, run_id)
            if forward is not None or full:
                write_forward(connection, proof_id, checked_at, forward)
            # Lines are kept for a week; of older ones the differences, and by day how many lines had which verdict.
            connection.execute("select metadata.prune_proofs()")
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, "nothing was proven or written.") from None
    bad = {DIFFERENT, OPEN} if strict else {DIFFERENT}
    result = {
        "ok": not parts.failed and not any(equation.verdict in bad for equation in equations),
        "checked_at": checked_at.isoformat(),
        "equations": [equation.as_json() for equation in equations],
        **({} if explained is None else {"explained": explained}),
    }
    parts.raise_failed(result)
    return result


@contextmanager
def _reading_books(parts: Parts, connection: psycopg.Connection[Any], entity: Entity) -> Iterator[None]:
    """Read an entity's books; where that fails, its part says why, and the snapshot still serves the others."""
    with parts.part(entity.name):
        try:
            with connection.transaction():
                yield
        except psycopg.OperationalError:
            raise
        except (psycopg.Error, duckdb.Error) as error:
            raise _unreadable(error) from None


def _unreadable(error: Exception) -> TieoutError:
    said = str(error)
    if isinstance(error, psycopg.Error):
        # Only what speaks of tables and rights: other messages may quote rows.
        is_of_schema = (error.sqlstate or "").startswith("42")
        said = str(error.diag.message_primary) if is_of_schema else ", ".join(without_rows(error)) or "no more is said"
    return TieoutError(
        f"its books cannot be read: {type(error).__name__}, {said.splitlines()[0]}.",
        "nothing of it was proven.",
        "./scripts/start.sh, which makes what an entity lacks; then ./scripts/tieout proof --full",
    )


def _not_proven(name: str, error: TieoutError) -> Iterator[Equation]:
    """Yield the line of an entity whose books cannot be read."""
    line = Equation("E1", {"cannot_be_proven": error.what}, None, Side(), Side(), is_open=True)
    return name_entity(name, [line])


def _equations(proof: EntityProof, *, deep: bool) -> Iterator[Equation]:
    found = list(proof.equations())
    if deep:
        unattested = [str(e.scope["feed"]) for e in found if e.verdict == UNATTESTED and "feed" in e.scope]
        found += prove_with_kafka(proof.context, unattested)
    named = name_days(proof.context.connection, proof.context.entity, found)
    yield from name_entity(proof.context.entity.name, named)


@contextmanager
def _snapshot(
    settings: Settings, checked_at: datetime, parts: Parts, *, full: bool
) -> Iterator[tuple[psycopg.Connection[Any], dict[str, Forward], Sequence[Entity]]]:
    """Yield a session with one snapshot for all equations, what the last proof left, and the entities to prove.

    A full proof begins with nothing.

    What loads have passed without an event is read again before it. A load that commits in between is in the snapshot
    and was not asked about, so that it is done once more.
    """
    asked: set[int] = set()
    entities = readable_entities(parts)
    for tries_left in reversed(range(_TRIES)):
        with psycopg.connect(settings.dsn("dbt")) as connection:
            pass_on(connection)
            before = _read_forward(connection, entities, checked_at, full=full)
            for entity in entities:
                with parts.part(entity.name):
                    asked |= explain_missing(connection, settings, entity, _after(before, entity))
            entities = tuple(entity for entity in entities if entity.name in parts.well)
        with psycopg.connect(settings.dsn("dbt")) as connection:
            pass_on(connection)
            # The lake is read behind the snapshot, and so never older than it.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("set timezone = 'UTC'")
            before = _read_forward(connection, entities, checked_at, full=full)
            missing = [unexplained_loads(connection, entity, _after(before, entity)) for entity in entities]
            if not tries_left or asked >= set().union(*missing):
                yield connection, before, entities
                return


def _read_forward(
    connection: psycopg.Connection[Any], entities: Iterable[Entity], now: datetime, *, full: bool
) -> dict[str, Forward]:
    return {} if full else {entity.name: read_forward(connection, entity.name, now) for entity in entities}


def _after(before: Mapping[str, Forward], entity: Entity) -> int:
    """Return the load up to which an entity is proven already."""
    return before[entity.name].load_id if entity.name in before else 0


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
