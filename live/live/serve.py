"""The engine as a process: its connection, its signals, its end."""

import gc
import signal
from collections.abc import Callable
from contextlib import closing
from types import FrameType

from core.layout import Layout, find_layout
from core.settings import Settings, load_settings
from live.engine import Engine, connect


def serve(
    *,
    once: bool,
    restart_from_gold: bool,
    say: Callable[[str], None],
    settings: Settings | None = None,
    layout: Layout | None = None,
) -> int:
    """Count events until SIGTERM or SIGINT; return how many.

    Raises:
        OutageError: broker or database is away; what was counted is kept, and the same command goes on.
        RefusalError: the broker has dropped events that were not counted.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    with closing(connect(settings)) as connection:
        engine = Engine(connection, settings, layout, say)

        def stop(_: int, __: FrameType | None) -> None:
            engine.stopping = True

        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, stop)
        # A batch makes ten thousands of objects that end with it, none of them in a cycle: one is looked for rarely.
        gc.freeze()
        gc.set_threshold(200_000)
        try:
            return engine.run(restart_from_gold=restart_from_gold, once=once)
        finally:
            gc.unfreeze()  # else DuckDB's binding lists at the end what was not collected
