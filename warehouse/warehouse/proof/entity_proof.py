"""The proof of one entity: what it reads once, its equations, and what it leaves to the next proof."""

from collections.abc import Iterable

from warehouse.delta_log import newest_record
from warehouse.proof import books, feed_books, feeds, marts
from warehouse.proof.context import Context
from warehouse.proof.equation import Equation
from warehouse.proof.forward import Forward
from warehouse.proof.lake import prove_lake
from warehouse.settle import Ends
from warehouse.watermark import read_watermark


class EntityProof:
    """One entity's part of a proof.

    Args:
        context: whose books, and where they are.
        before: what the last proof left; None for a full one, which begins at the lake.
    """

    def __init__(self, context: Context, before: Forward | None) -> None:
        self.context = context
        connection, entity = context.connection, context.entity
        self._full = before is None
        self._before = before or Forward()
        watermark = read_watermark(connection, entity.bronze)
        # Before the files: what a running stream commits from here on is in them, but is not asked for.
        self._topic_id, self._lake_ends = newest_record(context.bronze)
        self._loaded = watermark.ends if watermark else {}
        self._loaded_topic = watermark.topic_id if watermark else None
        self._ends = Ends(connection, self._loaded_topic, self._loaded)
        self._feeds_before = feeds.feeds_forward(connection, entity, self._before)
        self._feeds = list(feed_books.read_feeds(connection, entity, self._feeds_before.load_id))
        self._marts = marts.read_marts(connection, entity, self._before, full=self._full)

    def has_begun(self) -> bool:
        """Say whether the lake has read past an event of it, or silver has, or a sender speaks of one."""
        return bool(self._feeds or any([*self._lake_ends.values(), *self._loaded.values()]))

    def equations(self) -> Iterable[Equation]:
        """Yield every line, E0 first."""
        connection, entity, before = self.context.connection, self.context.entity, self._before
        by_totals = [
            *feeds.fold_feeds(self._feeds, self._feeds_before, self._ends),
            *feeds.lost_beyond_acceptance(connection, entity),
            *books.offsets_by_totals(connection, entity, before, self._known()),
            *books.loads_by_totals(connection, entity, before),
        ]
        if self._full:
            yield from prove_lake(self.context, by_totals)
        else:
            yield from by_totals
        same_topic = self._loaded_topic == self._topic_id
        yield from books.not_loaded(self._lake_ends, self._loaded if same_topic else {})
        yield from marts.prove_marts(connection, self._marts, before)

    def bring_forward(self) -> Forward:
        """Return what the next proof begins with. Call it when nothing is different."""
        connection, entity = self.context.connection, self.context.entity
        sides = books.read_loads(connection, entity, self._before.load_id)
        older = {load_id for load_id, _ in sides} - books.newest_loads(sides)
        upto = max(older, default=self._before.load_id)
        return Forward(
            load_id=upto,
            processed_load_id=self._marts.processed_load_id,
            epoch=self._marts.epoch,
            seq=self._marts.seq,
            balances={
                **feeds.bring_feeds_forward(self._feeds, self._feeds_before, upto, self._ends),
                **books.bring_offsets_forward(connection, entity, self._before, upto),
                **books.bring_loads_forward(sides, self._before, upto),
                **marts.bring_marts_forward(self._marts),
            },
        )

    def _known(self) -> dict[tuple[str, int], int]:
        return {(self._loaded_topic or "", partition): end for partition, end in self._loaded.items()}
