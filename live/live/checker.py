"""The comparison with gold, beside the counting, which does not wait for it."""

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import psycopg

from core.niceness import give_way
from core.settings import Settings
from live.drift import COMPARED, check_newest_build
from live.gold import snapshot

CHECK_EVERY_SECONDS = 2.0


class Checker(threading.Thread):
    """Compares the totals with each new build, on a connection of its own, until it is stopped.

    Args:
        settings: where the database is.
        topic_id: of the topic that is counted.
        say: takes a line for people.
    """

    def __init__(self, settings: Settings, topic_id: str, say: Callable[[str], None]) -> None:
        super().__init__(name="comparison with gold", daemon=True)
        self._settings, self._topic_id, self._say = settings, topic_id, say
        self._stopping = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        """Compare; where the database does not go on, try again: the engine says so and ends."""
        told = ""
        while not self._stopping.is_set():
            try:
                self._compare_until_stopped()
            except psycopg.Error as error:
                # A mart is gone between two looks, or the totals were opened anew meanwhile.
                trouble = f"{type(error).__name__} {error.sqlstate or ''}".strip()
                if trouble != told and not self._stopping.is_set():
                    self._say(f"the comparison with gold begins again after {trouble}")
                told = trouble
            self._stopping.wait(CHECK_EVERY_SECONDS)

    def stop(self) -> None:
        """End soon; a comparison that is under way is rolled back."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel()
        self.join(timeout=10)

    def _compare_until_stopped(self) -> None:
        with closing(
            psycopg.connect(self._settings.dsn("live", options="-c timezone=UTC"), autocommit=True)
        ) as connection:
            self._connection = connection
            give_way(connection)
            connection.execute("set client_connection_check_interval = '1s'")
            while not self._stopping.wait(CHECK_EVERY_SECONDS):
                with snapshot(connection, *COMPARED):
                    check = check_newest_build(connection, self._topic_id)
                if check is not None:
                    wrong = [line for line in check.lines if not line.is_equal]
                    self._say(
                        f"build {check.build_id}: {check.verdict}; {len(wrong)} of {len(check.lines)} totals differ"
                    )
