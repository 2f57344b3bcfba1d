"""`tieout live`: events from Kafka, one database transaction a batch, positions in the same transaction."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg

from contracts.alerts import load_alert_rules
from contracts.entities import load_entity
from contracts.model import PAYMENTS, Entity
from core.errors import OutageError
from core.layout import Layout
from core.locks import AdvisoryKey, advisory_holder, take_advisory
from core.pooler import open_session
from core.schema_revision import require_revision
from core.settings import Settings
from live import set_aside
from live.alerts.outbox import Outbox
from live.alerts.watch import Watch, write_rules
from live.broker import Broker, headers_of
from live.channels import read_channels
from live.checker import Checker
from live.counting import Counting
from live.events import EPOCH, EventReader, Message, Place
from live.expiry import expire
from live.opening import add_partitions, ask_for_restart, open_totals, read_positions, restart_is_asked

Connection = psycopg.Connection[Any]
Say = Callable[[str], None]

LEFT = "a batch that was under way is rolled back: none of it is counted."
RESTART_EVERY_SECONDS = 2.0
EXPIRE_EVERY_SECONDS = 30.0
PARTITIONS_EVERY_SECONDS = 5.0
SAY_EVERY_SECONDS = 60.0
LOCK_WAIT_SECONDS = 10.0


def connect(settings: Settings) -> Connection:
    """Open the engine's connection.

    Raises:
        OutageError: the database is away.
        RefusalError: it is behind a pooler.
    """
    try:
        return open_session(settings.dsn("live", options="-c timezone=UTC"))
    except psycopg.OperationalError as error:
        raise database_away(error) from error


def database_away(error: psycopg.Error) -> OutageError:
    """Return the error of a database that does not go on; of what it says, only the first line and no row."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return OutageError(
        f"the database does not go on with the live view: {said}",
        LEFT,
        "./scripts/tieout doctor; the service starts again by itself",
    )


class Engine:
    """Counts events until it is told to stop.

    Args:
        connection: autocommit, role live, used by nobody else.
        settings: limits and the broker.
        layout: where the channels' seed stands.
        say: takes a line for people.
    """

    def __init__(self, connection: Connection, settings: Settings, layout: Layout, say: Say) -> None:
        entity: Entity = load_entity(PAYMENTS)
        self._connection, self._settings, self._say = connection, settings, say
        self._reader = EventReader(entity)
        self._broker = Broker(settings, entity.topic.name)
        assert entity.alerts_topic is not None  # noqa: S101 - its contract states one
        self._outbox = Outbox(settings, entity.alerts_topic.name)
        watch, channels = Watch(load_alert_rules()), read_channels(layout)
        self._counting = Counting(connection, watch, channels, self._outbox.send, say)
        self._is_due = _Clock()
        self.stopping = False

    def run(self, *, restart_from_gold: bool = False, once: bool = False) -> int:
        """Count events until stopping is set; return how many.

        Args:
            restart_from_gold: begin anew with gold's balance.
            once: end when all that the topic held at the begin is counted.

        Raises:
            OutageError: broker or database is away, or another engine runs.
            RefusalError: the broker has dropped events that were not counted.
        """
        counted, checker = 0, None
        try:
            if not self._begin(restart_from_gold):
                return 0
            ends = {partition: high for partition, (_, high) in self._broker.reach().items()} if once else {}
            if not once:
                checker = Checker(self._settings, self._counting.topic_id, self._say)
                checker.start()
            while not self.stopping:
                counted += self._step()
                if checker is not None and not checker.is_alive():
                    raise RuntimeError("the comparison with gold ended by itself")
                if once and all(self._counting.positions.get(partition, 0) >= end for partition, end in ends.items()):
                    break
            self._outbox.finish(self._connection)
            if aside := str(set_aside.count(self._connection)):
                self._say(aside)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise database_away(error) from error
        finally:
            if checker is not None:
                checker.stop()
            self._broker.close()
            self._outbox.close()
            self._reader.close()
        return counted

    def _begin(self, restart_from_gold: bool) -> bool:
        """Go to where counting goes on; False where another engine is at work and does what was asked."""
        if not self._has_lock():
            if restart_from_gold:
                ask_for_restart(self._connection)
                self._say("the live view that is at work begins anew with gold within seconds")
                return False
            holder = advisory_holder(self._connection, AdvisoryKey.LIVE)
            raise OutageError(
                f"another live view is at work on this database: {holder}.",
                "it goes on; nothing was changed.",
                "./scripts/tieout status; stop the service first where you want to run it by hand",
            )
        require_revision(self._connection)
        # Of an engine that was killed nothing goes on in the database, and the lock is free again.
        self._connection.execute("set client_connection_check_interval = '1s'")
        # A crash of the database may take the last commits back, positions and totals together: they are counted again.
        self._connection.execute("set synchronous_commit = off")
        self._counting.topic_id = self._broker.topic_id()
        write_rules(self._connection, load_alert_rules())
        self._outbox.resume(self._connection)
        self._go_on(restart_from_gold=restart_from_gold)
        return True

    def _go_on(self, *, restart_from_gold: bool) -> None:
        topic_id, reach = self._counting.topic_id, self._broker.reach()
        positions = None if restart_from_gold else read_positions(self._connection, topic_id)
        if positions is None:
            self._say(open_totals(self._connection, topic_id, reach))
            positions = read_positions(self._connection, topic_id) or {}
        if new := sorted(set(reach) - set(positions)):
            # Of a partition that was added nothing is counted yet: gold's balance was taken before it was there.
            add_partitions(self._connection, topic_id, new)
            positions |= dict.fromkeys(new, 0)
            self._say(f"partitions {', '.join(map(str, new))} were added to the topic: counted from their beginning")
        self._counting.positions = positions
        self._broker.begin(positions)
        self._say(f"counts on at {', '.join(f'{p}:{at}' for p, at in sorted(positions.items()))}")

    def _has_lock(self) -> bool:
        """Wait a moment for the lock: a killed engine's session holds it until the database has noticed."""
        return take_advisory(self._connection, AdvisoryKey.LIVE, LOCK_WAIT_SECONDS, lambda: self.stopping)

    def _step(self) -> int:
        settings, counting = self._settings, self._counting
        messages, ends = self._broker.poll(settings.live_batch_events, settings.live_linger_ms / 1000)
        events = self._reader.read(
            [self._message(each) for each in messages if counting.is_next(each.partition(), each.offset())]
        )
        if events:
            counting.count(events)
            if self._is_due("say", SAY_EVERY_SECONDS):
                self._say(f"{len(events)} events in the last batch; counted up to {sum(counting.positions.values())}")
        counting.pass_over(ends)
        self._outbox.note_delivered(self._connection)
        if self._is_due("restart", RESTART_EVERY_SECONDS) and restart_is_asked(self._connection):
            self._go_on(restart_from_gold=True)
        if self._is_due("partitions", PARTITIONS_EVERY_SECONDS) and self._broker.partitions() - set(counting.positions):
            self._go_on(restart_from_gold=False)
        if self._is_due("expire", EXPIRE_EVERY_SECONDS):
            expire(self._connection, settings, counting.topic_id)
        return len(events)

    def _message(self, message: Any) -> Message:
        _, milliseconds = message.timestamp()
        arrived_at = EPOCH + timedelta(milliseconds=milliseconds)
        place = Place(self._counting.topic_id, message.partition(), message.offset())
        return Message(place, arrived_at, message.value(), headers_of(message))


class _Clock:
    """Says when something is due again."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, name: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last.get(name, float("-inf")) < seconds:
            return False
        self._last[name] = now
        return True
