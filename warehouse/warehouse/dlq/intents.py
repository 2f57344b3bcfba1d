"""The books of redrives: intents before anything is sent, confirmations behind it, and the feeds they belong to."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from contracts.control_total import ControlTotal, Money
from contracts.entities import load_entity
from contracts.model import Entity
from warehouse.dlq.books import Connection
from warehouse.dlq.lake import PAGE_BYTES
from warehouse.dlq.plan import Intent, Message, headers_of

RESENT_PAGE = 1_000


class Sent(NamedTuple):
    """Where the broker put a message."""

    redrive_id: UUID
    partition: int
    offset: int


class Feed(NamedTuple):
    """A feed that a redrive opened and nobody closed."""

    run: str
    topic_id: str
    entity: Entity


def open_feed(connection: Connection, feed: Feed, selection: str, asked_by: str) -> None:
    """Write down that a redrive begins."""
    connection.execute(
        "insert into metadata.redrive_feeds (run, topic_id, entity, selection, asked_by) values (%s, %s, %s, %s, %s)",
        [feed.run, feed.topic_id, feed.entity.name, selection, asked_by],
    )


def close_feed(connection: Connection, run: str) -> None:
    """Write down that a redrive's last control total is sent."""
    connection.execute("update metadata.redrive_feeds set closed_at = clock_timestamp() where run = %s", [run])


def open_feeds(connection: Connection) -> list[Feed]:
    """Return the feeds that were killed before their end, oldest first."""
    rows = connection.execute(
        "select run, topic_id, entity from metadata.redrive_feeds where closed_at is null order by opened_at"
    ).fetchall()
    return [Feed(run, topic_id, load_entity(entity)) for run, topic_id, entity in rows]


def count_unconfirmed(connection: Connection) -> int:
    """Return how many letters are written down and not confirmed."""
    row = connection.execute(
        "select count(*) from metadata.letter_decisions where decision = 'REDRIVEN' and confirmed_at is null"
    ).fetchone()
    return int(row[0]) if row else 0


def write_intents(connection: Connection, intents: list[Intent]) -> None:
    """Write what is about to be sent, bytes and all, in one transaction: only then may it be sent."""
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(
            'copy metadata.letter_decisions (topic_id, partition, "offset", book, decision, redrive_id, redrive_of, '
            "run, seq, is_changed, expected, currency, amount) from stdin"
        ) as copy:
            for i in intents:
                copy.write_row(
                    (
                        *(*i.letter.place, i.book, "REDRIVEN", i.redrive_id, i.redrive_of, i.run, i.seq),
                        *(i.is_changed, list(i.expected), i.currency, i.amount),
                    )
                )
        with cursor.copy(
            "copy raw.redrive_payloads (redrive_id, message_key, value, status_at, contract_version) from stdin"
        ) as copy:
            for i in intents:
                copy.write_row((i.redrive_id, i.key, i.letter.value, i.letter.status_at, i.contract_version))


def confirm(connection: Connection, sent: list[Sent]) -> None:
    """Write down where the broker put messages, and forget their bytes, in one transaction."""
    ids, partitions, offsets = zip(*sent, strict=True)
    with connection.transaction():
        connection.execute(
            """
            update metadata.letter_decisions d
            set confirmed_at = clock_timestamp(), new_partition = s.partition, new_offset = s.new_offset
            from unnest(%s::uuid[], %s::int[], %s::bigint[]) as s (redrive_id, partition, new_offset)
            where d.redrive_id = s.redrive_id and d.confirmed_at is null
            """,
            [list(ids), list(partitions), list(offsets)],
        )
        connection.execute("delete from raw.redrive_payloads where redrive_id = any(%s)", [list(ids)])


def unconfirmed(connection: Connection, run: str) -> Iterator[list[Message]]:
    """Yield the messages of a feed that are not confirmed, in order; each page has to be confirmed before the next."""
    while rows := connection.execute(
        """
        select redrive_id, message_key, value, seq, status_at, contract_version, redrive_of from (
            select p.*, d.seq, d.redrive_of,
                coalesce(sum(octet_length(p.value)) over (
                    order by d.seq rows between unbounded preceding and 1 preceding), 0) as before
            from metadata.letter_decisions d join raw.redrive_payloads p using (redrive_id)
            where d.run = %s and d.confirmed_at is null
        ) w where before < %s order by seq limit %s
        """,
        [run, PAGE_BYTES, RESENT_PAGE],
    ).fetchall():
        yield [
            Message(redrive_id, key, value, headers_of(run, seq, status_at, version, redrive_of))
            for redrive_id, key, value, seq, status_at, version, redrive_of in rows
        ]


def control_total(connection: Connection, feed: Feed, *, closed: bool) -> ControlTotal:
    """Return what a feed has sent: its confirmed events, and what the strict parser says they are."""
    rows = connection.execute(
        """
        select currency, expected[1], count(*), sum(amount) from metadata.letter_decisions
        where run = %s and confirmed_at is not null group by 1, 2
        """,
        [feed.run],
    ).fetchall()
    offsets = connection.execute(
        """
        select new_partition, max(new_offset) from metadata.letter_decisions
        where run = %s and confirmed_at is not null group by 1
        """,
        [feed.run],
    ).fetchall()
    return ControlTotal(
        run=feed.run,
        seq=sum(count for _, _, count, _ in rows),
        closed=closed,
        amounts={currency: Money(count, amount) for currency, _, count, amount in rows if currency},
        last_offsets=dict(offsets),
        broken={code: count for _, code, count, _ in rows if code},
        topic_id=feed.topic_id,
        contract=feed.entity.version,
        entity=feed.entity.name,
        sent_at=datetime.now(UTC),
    )
