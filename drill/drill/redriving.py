# ruff: noqa: S608  (names of tables are the contracts')
"""A redrive that is killed in the middle: every letter is put back once."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from contracts.entities import load_entities, load_entity
from contracts.event_json import to_json
from contracts.faults import sound_event
from drill.harness import Harness
from drill.kills import KILLED
from drill.proving import Report, drain, prove
from drill.round import Round

PLACES = ("redrive.after-intent", "redrive.while-producing", "redrive.before-confirm")
_TABLES = " union all ".join(f"select topic_id, redrive_of from {entity.silver}" for entity in load_entities())
_PUT_BACK = f"""
select count(*), count(distinct (topic_id, redrive_of)) from ({_TABLES}) as silver where redrive_of is not null
"""


def redrive_killed(harness: Harness, chance: Random, told: Report) -> None:
    """Mend every open dead letter, kill the redrive at one place after the other, and let the last one finish."""
    play = Round(harness, chance, told.kills)
    harness.do(*play.feed())
    drain(harness, told)
    (before,) = harness.rows(_PUT_BACK)
    letters = harness.layout.home / "letters.jsonl"
    letters.unlink(missing_ok=True)
    harness.do("dlq", "export", str(letters), "--all")
    lines = list(_mended(letters.read_text(encoding="utf-8").splitlines(), chance))
    letters.write_text("".join(lines), encoding="utf-8")
    words: tuple[str, ...] = ("dlq", "redrive", "--from", str(letters))
    for place in PLACES:
        child = harness.start(*words, failpoint=place)
        if child.wait() == KILLED:
            play.struck("redrive", f"at {place}")
        words = ("dlq", "redrive")  # what was begun is finished first
    # A killed redrive goes on with the page that it had written down; the pages behind it are still open.
    harness.do("dlq", "redrive", "--from", str(letters), "--skip-decided")
    again = harness.start("dlq", "redrive", "--from", str(letters))
    if again.wait() == 0:
        told.differences.append("letters that were put back could be put back a second time")
    told.notes.append(f"{len(lines)} dead letters mended and put back; a second redrive was refused")
    prove(harness, told)
    (after,) = harness.rows(_PUT_BACK)
    if after != (before[0] + len(lines), before[1] + len(lines)):
        told.differences.append(f"{len(lines)} letters became {after[0] - before[0]} rows of silver")


def _mended(lines: list[str], chance: Random) -> Iterator[str]:
    """Yield each letter with an event of its entity in it that silver takes, under a key of its own."""
    for line in lines:
        held = {name: value for name, value in json.loads(line).items() if not name.startswith("payload")}
        entity = load_entity(held["entity"])
        own = {
            entity.key: uuid.UUID(int=chance.getrandbits(128)).hex,
            entity.statuses.field: entity.statuses.final[0],
            entity.event_time: datetime.now(UTC).isoformat(timespec="seconds"),
        }
        payload = to_json(sound_event(entity) | own)
        yield f'{json.dumps(held)[:-1]}, "payload": {payload.decode()}}}\n'
