"""Letters of every kind through every real service: broken, listed, mended, redriven, proven; and not a second time."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.entities import load_entity
from contracts.model import PAYMENTS

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1500)]

SOUND = {field.name: field.example for field in load_entity(PAYMENTS).fields} | {
    "customer_id": "C-mended",
    "failure_reason": None,
    "timestamp": "2026-11-19T14:00:00+05:30",
}


def mend(file: Path) -> None:
    """Put a sound payment of its own into each line."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        for name in ("payload", "payload_text", "payload_base64"):
            line.pop(name, None)
        line["payload"] = SOUND | {"transaction_id": f"mended-{line['book']}-{line['letter']}"}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def prove(platform: Any) -> dict[str, set[str]]:
    """Return the verdicts by equation, from the totals and from scratch."""
    found: dict[str, set[str]] = {}
    for options in ((), ("--full",)):
        for equation in platform.json("proof", *options)["equations"]:
            found.setdefault(equation["name"], set()).add(equation["verdict"])
    assert found
    return found


def test_every_kind_of_letter_is_mended_redriven_and_proven_once(platform: Any, tmp_path: Path) -> None:
    platform.tieout(
        "produce", "--total", "2500", "--rate", "0", "--timeline", "last:30d", "--faults", "0.2", "--seed", "15"
    )
    assert platform.json("run")["ok"]
    assert "DIFFERENT" not in set().union(*prove(platform).values())
    books = {"dead_letters": (), "rejected_transactions": ("--rejected",)}
    sent: dict[str, int] = {}
    for book, flags in books.items():
        listed = platform.json("dlq", "list", *flags)
        kinds = {code for group in listed["groups"] for code in group["reasons"]}
        assert len(kinds) > 20
        file = tmp_path / f"{book}.jsonl"
        sent[book] = platform.json("dlq", "export", str(file), "--all", *flags)["letters"]
        assert sent[book] == listed["states"]["OPEN"]
        assert file.stat().st_mode & 0o777 == 0o600
        mend(file)
        outcome = platform.json("dlq", "redrive", "--from", str(file), *flags)
        assert (outcome["letters"], outcome["expected"]["malformed"]) == (sent[book], {})
    assert "DIFFERENT" not in set().union(*prove(platform).values())

    assert platform.json("run")["ok"]
    after = prove(platform)
    assert "DIFFERENT" not in after["E0"]  # what other tests have killed may be OPEN
    assert {name: after[name] for name in after if name != "E0"} == {name: {"OK"} for name in ("E1", "E2", "E3", "E4")}
    for book, count in sent.items():
        state = (
            f"select count(*) from metadata.dead_letter_book where book = '{book}' and successor_book = 'transactions'"
        )
        assert platform.rows(state) == [(count,)]
    mended = "transaction_id ~ '^mended-' and amount = 107.23 and currency = 'INR'"
    assert platform.rows(f"select count(*) from marts.fact_transactions where {mended}") == [(sum(sent.values()),)]

    for book, flags in books.items():
        again = platform.script("tieout", "dlq", "redrive", "--from", str(tmp_path / f"{book}.jsonl"), *flags)
        assert again.returncode == 1
        assert "was redriven already" in again.stderr
