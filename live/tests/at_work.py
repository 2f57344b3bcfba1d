"""The engine at work in a test's own process, and what the database says afterwards."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

from small_gold import superuser

from control.offsets import topic_id
from core.layout import find_layout
from core.settings import Settings
from live.drift import COMPARED, check_newest_build
from live.engine import Engine, connect
from live.gold import snapshot
from live.show import check_now

Rows = list[tuple[Any, ...]]


def settings(env: Mapping[str, str]) -> Settings:
    known = {name: env[name.upper()] for name in Settings.model_fields if name.upper() in env}
    return Settings(**{**known, "live_batch_events": 100, "live_linger_ms": 20})  # type: ignore[arg-type]


def count(env: Mapping[str, str], *, restart_from_gold: bool = False) -> None:
    """Count all that the topic holds, in this process."""
    chosen = settings(env)
    with closing(connect(chosen)) as connection:
        Engine(connection, chosen, find_layout(), lambda _: None).run(restart_from_gold=restart_from_gold, once=True)
        for _ in range(2):  # the check of a build has its own clock
            with snapshot(connection, *COMPARED):
                check_newest_build(connection, topic_id(env, "transactions"))


def wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def verdict(env: Mapping[str, str]) -> str:
    return check_now(settings(env)).verdict


def rows(env: Mapping[str, str], query: str, *values: Any) -> Rows:
    with superuser(env) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


TOTALS = """
select currency, status, merchant_category, payment_channel, count, amount from live.totals where count <> 0
order by 1, 2, 3, 4
"""


@contextmanager
def running(env: Mapping[str, str]) -> Iterator[Thread]:
    """Keep an engine at work, as the service does, until the end of the block."""
    chosen = settings(env)
    with closing(connect(chosen)) as connection:
        engine = Engine(connection, chosen, find_layout(), lambda _: None)
        thread = Thread(target=engine.run)
        thread.start()
        try:
            yield thread
        finally:
            engine.stopping = True
            thread.join()
