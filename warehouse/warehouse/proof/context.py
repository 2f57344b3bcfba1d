"""Where a proof reads the books of one entity."""

from dataclasses import dataclass
from typing import Any

import psycopg

from contracts.model import Entity
from core.lake import Lake, LakeTable
from core.layout import Layout
from core.settings import Settings


@dataclass(frozen=True)
class Context:
    """An entity, and the snapshot, settings and home that all its equations share."""

    connection: psycopg.Connection[Any]
    settings: Settings
    layout: Layout
    entity: Entity

    @property
    def bronze(self) -> LakeTable:
        """The lake's table of well-formed events."""
        return Lake.of(self.settings, self.layout).table(self.entity.bronze)

    @property
    def dead_letters(self) -> LakeTable:
        """The lake's table of malformed events."""
        return Lake.of(self.settings, self.layout).table(self.entity.dead_letters)
