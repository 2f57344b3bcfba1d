"""A redrive that is killed in the middle: every letter is put back once."""

import json
import uuid
from collections.abc import Iterator
from random import Random

from control.drill.ground import Ground
from control.drill.proving import Report, drain, prove
from control.drill.strikes import KILLED, Round
from control.drill.trouble import some_values

PLACES = ("redrive.after-intent", "redrive.while-producing", "redrive.before-confirm")
_PUT_BACK = "select count(*), count(distinct redrive_of) from raw.transactions where redrive_of is not null"


def redrive_killed(ground: Ground, chance: Random, told: Report) -> None:
    """Mend every open dead letter, kill the redrive at one place after the other, and let the last one finish."""
    play = Round(ground, chance, told.kills)
    ground.do(*play.feed())
    drain(ground, told)
    (before,) = ground.rows(_PUT_BACK)
    letters = ground.layout.home / "letters.jsonl"
    letters.unlink(missing_ok=True)
    ground.do("dlq", "export", str(letters), "--all")
    lines = list(_mended(ground, letters.read_text(encoding="utf-8").splitlines(), chance))
    letters.write_text("".join(lines), encoding="utf-8")
    words: tuple[str, ...] = ("dlq", "redrive", "--from", str(letters))
    for place in PLACES:
        child = ground.start(*words, failpoint=place)
        if child.wait() == KILLED:
            play.struck("redrive", f"at {place}")
        words = ("dlq", "redrive")  # what was begun is finished first
    # A killed redrive goes on with the page that it had written down; the pages behind it are still open.
    ground.do("dlq", "redrive", "--from", str(letters), "--skip-decided")
    again = ground.start("dlq", "redrive", "--from", str(letters))
    if again.wait() == 0:
        told.differences.append("letters that were put back could be put back a second time")
    told.notes.append(f"{len(lines)} dead letters mended and put back; a second redrive was refused")
    prove(ground, told)
    (after,) = ground.rows(_PUT_BACK)
    if after != (before[0] + len(lines), before[1] + len(lines)):
        told.differences.append(f"{len(lines)} letters became {after[0] - before[0]} rows of silver")


def _mended(ground: Ground, lines: list[str], chance: Random) -> Iterator[str]:
    """Yield each letter with a payment in it that silver takes, under an id of its own."""
    known = {row[0] for row in ground.rows("select transaction_id from raw.transactions where status <> 'PENDING'")}
    good = next(value for value in some_values(ground.settings) if json.loads(value)["transaction_id"] in known)
    old = json.loads(good)["transaction_id"]
    for line in lines:
        held = {name: value for name, value in json.loads(line).items() if not name.startswith("payload")}
        payload = good.decode().replace(old, uuid.UUID(int=chance.getrandbits(128)).hex)
        yield f'{json.dumps(held)[:-1]}, "payload": {payload}}}\n'
