import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.control_total import ControlTotal
from data_generator import undelivered
from data_generator.delivery import Message
from data_generator.errors import ResendFileError

LARGEST = 100_000
TEXTS = st.none() | st.text(max_size=20).map(str.encode)
HEADERS = st.lists(st.tuples(st.sampled_from(["run", "seq", "status_at"]), TEXTS))
KEYS = st.none() | st.text(max_size=20).map(str.encode)
MESSAGES = st.lists(
    st.builds(Message, KEYS, st.none() | st.binary(max_size=200), HEADERS),
    max_size=5,
)


@given(MESSAGES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_saved_is_loaded_byte_for_byte(tmp_path: Path, messages: list[Message]) -> None:
    file = tmp_path / "undelivered" / "run.jsonl"
    undelivered.save(file, messages)
    assert undelivered.load(file, LARGEST) == (messages, None)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["run.jsonl"]


def test_a_file_that_cannot_be_written_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.jsonl"
    first = [Message(b"a", b"1", [("seq", b"1")])]
    undelivered.save(file, first)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        undelivered.save(file, [Message(b"b", b"2", [])])
    assert undelivered.load(file, LARGEST) == (first, None)
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_file_without_a_line_end_is_refused_and_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    with file.open("wb") as out:
        out.truncate(1 << 40)  # without content: it takes no room, and no memory could hold it
    with pytest.raises(ResendFileError, match="the line has 200,000 bytes or more, and the broker takes 100,000"):
        undelivered.load(file, LARGEST)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"18446744073709551616",
        b"[" * 100_000,
        b'{"key": "a"}',
        b'{"key":null,"headers":[],"value_base64":"#"}',
        b'{"key":null,"headers":[[1,"a"]],"value_base64":null}',
        b'{"key":null,"headers":[["a\\u0000","a"]],"value_base64":null}',
        b'{"key":null,"headers":[["a",1]],"value_base64":null}',
        b'{"key":"\\ud800","headers":[],"value_base64":null}',
        b'{"key":"%s","headers":[],"value_base64":null}' % (b"k" * 100_000),
        b'{"closing":{"control_total":1,"run":"r","seq":18446744073709551616}}',
    ],
    ids=lambda line: line[:50].decode(),
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "run.jsonl"
    undelivered.save(file, [Message(b"a", b"1", [])])
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(ResendFileError, match=r"run\.jsonl line 2"):
        undelivered.load(file, LARGEST)


def test_the_feed_s_closing_total_is_kept_beside_its_events(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    closing = ControlTotal("run", 2, True, {}, {0: 7}, sent_at=datetime(2026, 11, 21, tzinfo=UTC))
    undelivered.save(file, [Message(b"a", b"1", [])], closing)
    assert undelivered.load(file, LARGEST) == ([Message(b"a", b"1", [])], closing)
    undelivered.save(file, [])
    assert undelivered.load(file, LARGEST) == ([], None)
