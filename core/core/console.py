"""Tables and lines for people, in which text of others is text: no markup, no terminal escapes."""

from typing import Any

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from core.text import shown, shown_lines

# A figure or an id that is cut or wrapped cannot be compared: rather let the terminal scroll.
WIDTH = 150
LONGEST_LINE = 100_000


class PlainConsole(Console):
    """A console on standard output that prints strings as they are and never wraps a figure."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)
        self.width = max(self.width, width)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; of a string every control character but the line's end is made visible, and a table is never cut."""
        for each in objects:
            if isinstance(each, Table):
                wide = self.options.update(width=LONGEST_LINE)
                self.width = max(self.width, Measurement.get(self, wide, each).maximum)
        if all(isinstance(each, str) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*(shown_lines(each) if isinstance(each, str) else each for each in objects), **options)


class PlainTable(Table):
    """A table without lines. A string in a cell is somebody's text; a cell of `rich.text.Text` is our own.

    Args:
        columns: the names of the columns.
        right: the positions of those that are aligned to the right.
    """

    def __init__(self, *columns: str, right: frozenset[int] = frozenset()) -> None:
        super().__init__(box=None, pad_edge=False, header_style="bold")
        for place, name in enumerate(columns):
            self.add_column(name, justify="right" if place in right else "left", no_wrap=True)

    def add_row(self, *cells: RenderableType | None, style: Any = None, end_section: bool = False) -> None:
        """Add a row."""
        plain = (Text(shown(cell)) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*plain, style=style, end_section=end_section)
