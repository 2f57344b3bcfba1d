"""Chunks one at a time, in their order, each once; what is wrong with one is named, and waits."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chunk_folder import HEADER, NOW, Looked, line, looking, put, rules, text_of

from control.testing import Handle
from core import failpoints
from core.errors import OutageError, TieoutError
from core.layout import find_layout
from core.places import LocalPlace
from core.settings import parse_settings
from patterns.chunker import Chunker, Clock
from patterns.input_file import InputFile
from patterns.ledger import ledger_of
from patterns.report import read_status, status_as_text
from patterns.watcher import Patience

pytestmark = pytest.mark.services


def chunk(number: int, size: int = 4) -> list[str]:
    return [line(f"C{(number + i) % 7}") for i in range(size)]


def test_chunks_count_in_their_order_and_a_gap_is_named_until_it_is_filled(services: Handle, tmp_path: Path) -> None:
    folder = tmp_path / "input_chunks"
    put(folder, 1, 0, chunk(1))
    put(folder, 3, 8, chunk(3))
    put(folder, 4, 12, chunk(4))
    with looking(services.env, folder, "order") as found:
        late = found.watcher(Patience(timedelta(seconds=30), timedelta(hours=1), is_once=True))
        late.run()
        assert found.chunks == [(1, 4, 0)]
        assert found.findings == []
        found.ahead = 31
        late.run()
        assert found.findings == [("GAP", "chunk 2", False)]
        assert found.said[-1] == "chunk 2 is missing; chunks up to 4 wait"
        put(folder, 2, 4, chunk(2))
        found.ahead = 40
        late.run()
        assert found.chunks == [(n, 4, 0) for n in (1, 2, 3, 4)]
        assert found.findings == [("GAP", "chunk 2", True)]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("EMPTY", ""),
        ("EMPTY", f"{HEADER}\n"),
        ("CUT_OFF", text_of(chunk(2))[:-20]),
        ("HEADER", text_of(chunk(2)).replace("amount", "sum")),
        ("HEADER", text_of(chunk(2)).replace("zipMerchant", "merchant")),
        ("HEADER", text_of(chunk(2)).replace("\n", "\0\n", 1)),
    ],
)
def test_a_bad_chunk_is_named_waits_and_counts_once_it_is_mended(
    services: Handle, tmp_path: Path, kind: str, content: str
) -> None:
    folder = tmp_path / "input_chunks"
    put(folder, 1, 0, chunk(1))
    bad = put(folder, 2, 4, [])
    bad.write_text(content)
    put(folder, 3, 8, chunk(3))
    with looking(services.env, folder, f"bad {tmp_path.name}") as found:
        found.look()
        found.look()
        assert found.chunks == [(1, 4, 0)]
        assert found.findings == [(kind, bad.name, False)]
        assert f"chunk 2, {bad.name}" in found.said[0]
        bad.write_text(text_of(chunk(2)))
        found.look()
        assert found.chunks == [(1, 4, 0), (2, 4, 0), (3, 4, 0)]
        assert found.findings == [(kind, bad.name, True)]
        assert found.rows("select count(*) from patterns.payments where watch_id = %s") == [(12,)]


def test_a_chunk_that_overlaps_or_leaves_rows_out_waits(services: Handle, tmp_path: Path) -> None:
    folder = tmp_path / "input_chunks"
    put(folder, 1, 0, chunk(1))
    for first in (3, 5):
        bad = put(folder, 2, first, chunk(2))
        with looking(services.env, folder, "rows") as found:
            found.look()
            assert found.chunks == [(1, 4, 0)]
            assert ("OUT_OF_ORDER", bad.name, False) in found.findings
        bad.unlink()


def test_a_chunk_that_is_there_twice_counts_once(services: Handle, tmp_path: Path) -> None:
    folder = tmp_path / "input_chunks"
    put(folder, 1, 0, chunk(1))
    one, two = put(folder, 2, 4, chunk(2)), put(folder, 2, 4, chunk(5), minute=1)
    with looking(services.env, folder, "twice") as found:
        found.look()
        assert found.findings == [("DOUBLED", "chunk 2", False)], "nothing says which of two counts"
        assert found.chunks == [(1, 4, 0)]
        two.write_text(one.read_text())
        found.look()
        assert found.chunks == [(1, 4, 0), (2, 4, 0)], "two equal ones are one"
        found.look()
        assert ("DOUBLED", two.name, False) in found.findings
        assert found.chunks == [(1, 4, 0), (2, 4, 0)]


def test_a_chunk_that_is_replaced_after_it_was_read_is_named_and_counts_as_it_was(
    services: Handle, tmp_path: Path
) -> None:
    folder = tmp_path / "input_chunks"
    first = put(folder, 1, 0, chunk(1))
    with looking(services.env, folder, "replaced") as found:
        found.look()
        first.write_text(first.read_text())
        found.look()
        assert found.findings == [], "the same bytes again are no news"
        first.write_text(text_of(chunk(5)))
        found.look()
        assert found.findings == [("REPLACED", first.name, False)]
        assert found.chunks == [(1, 4, 0)]
        assert found.rows("select count(*) from patterns.payments where watch_id = %s") == [(4,)]


def test_rows_that_cannot_be_read_are_kept_apart_and_rows_are_their_sum(services: Handle, tmp_path: Path) -> None:
    folder = tmp_path / "input_chunks"
    put(folder, 1, 0, [line("C1"), line("C2", amount="1,00".replace(",", " ")), line("C3")])
    with looking(services.env, folder, "refused") as found:
        found.look()
        assert found.chunks == [(1, 3, 1)]
        assert found.rows('select "row", reasons from patterns.refused_rows where watch_id = %s') == [
            (1, ["AMOUNT_NO_NUMBER"])
        ]
        assert found.rows('select "row", customer from patterns.payments where watch_id = %s order by 1') == [
            (0, "C1"),
            (2, "C3"),
        ]


def test_detections_are_made_once_kept_when_they_end_and_fifty_to_a_file(services: Handle, tmp_path: Path) -> None:
    folder = tmp_path / "input_chunks"
    # 53 customers with three small payments each; 20 of them pay a large amount later, and small ones again.
    names = [f"D{i:02}" for i in range(53)]
    put(folder, 1, 0, [line(name, amount="2.00", gender="E") for name in names for _ in range(3)])
    put(folder, 2, 159, [line(name, amount="900.00", gender="E") for name in names[:20]])
    put(folder, 3, 179, [line(names[0], amount="0.00", gender="E") for _ in range(60)])
    with looking(services.env, folder, "files", rules(merchant_above=10**6)) as found:
        found.look(NOW)
        assert [each[2] for each in found.detections] == names
        assert {each[3] for each in found.detections} == {1}
        ended = found.rows(
            "select count(*), count(*) filter (where changed_in_chunk = 3) from patterns.detections_now "
            "where watch_id = %s and (not holds or changed_in_chunk = 3)"
        )
        assert ended == [(20, 1)], "nineteen have ended, and one has been true again since chunk 3"
        files = sorted((tmp_path / "detections").iterdir(), key=lambda each: int(each.stem.rpartition("_")[2]))
        contents = [json.loads(each.read_text()) for each in files]
        assert [len(each) for each in contents] == [50, 3]
        assert [each["customerName"] for part in contents for each in part] == names
        assert contents[0][0] == {
            "YStartTime": "2026-01-02T08:34:05.000+05:30",
            "detectionTime": contents[0][0]["detectionTime"],
            "patternId": "PatId2",
            "ActionType": "CHILD",
            "customerName": "D00",
            "MerchantId": "M1",
        }
        assert contents[0][0]["detectionTime"].endswith("+05:30")
        before = {each.name: each.read_bytes() for each in files}
        found.look(NOW)
        assert {each.name: each.read_bytes() for each in (tmp_path / "detections").iterdir()} == before


def test_evidence_is_computed_again_and_an_edited_payment_shows(services: Handle, tmp_path: Path) -> None:
    from patterns.explain import as_json, as_text, explain  # noqa: PLC0415  (its module is the subject)

    folder = tmp_path / "input_chunks"
    put(folder, 1, 0, [line("C0") for _ in range(9)] + [line("C1")])
    put(folder, 2, 10, [line("C2", gender="M"), line("C3", gender="M"), line("C4", gender="M")])
    settings = parse_settings(services.env, find_layout({"TIEOUT_HOME": services.env["TIEOUT_HOME"]}))
    with looking(services.env, folder, "evidence") as found:
        found.look()
        patterns = {each[0]: each for each in found.detections}
        assert patterns["PatId1"] == ("PatId1", "M1", "C0", 2)
        assert patterns["PatId2"] == ("PatId2", "M1", "C0", 1)
        assert patterns["PatId3"] == ("PatId3", "M1", "", 2)
        ids = found.rows("select detection_id from patterns.detections where watch_id = %s order by sequence")
    for (each,) in ids:
        again = explain(each, settings)
        assert again.is_equal, as_text(again)
        assert as_json(again)["verdict"] == "EQUAL"
        assert "still true" in as_text(again)
    with looking(services.env, folder, "evidence") as found:
        found.rows("delete from patterns.payments where watch_id = %s and customer = 'C0' and \"row\" = 0 returning 1")
    assert [explain(each, settings).is_equal for (each,) in ids] == [False, False, True]


def test_other_terms_under_a_name_are_refused_and_only_one_watches(services: Handle, tmp_path: Path) -> None:
    folder = tmp_path / "input_chunks"
    with looking(services.env, folder, "terms"):
        settings = parse_settings(services.env, find_layout({"TIEOUT_HOME": services.env["TIEOUT_HOME"]}))
        with pytest.raises(OutageError, match="somebody else looks for patterns"), ledger_of(settings):
            pass
    with (
        pytest.raises(TieoutError, match="begun with other rules") as refused,
        looking(services.env, folder, "terms", rules(child_at_least=4)),
    ):
        pass
    assert "--name" in refused.value.next


def cut(path: Path, folder: Path) -> None:
    place = LocalPlace(folder.parent)
    clock = Clock(lambda: 0.0, lambda _: True)
    Chunker(InputFile(path), place, folder.name, rows=10, every=0, clock=clock, say=lambda _: None).run()


def test_claims_say_which_object_counts_and_where_the_input_ends(services: Handle, tmp_path: Path) -> None:
    folder, path = tmp_path / "input_chunks", tmp_path / "in.csv"
    path.write_text(text_of([line(f"C{i % 11}") for i in range(30)]))
    settings = parse_settings(services.env, find_layout({"TIEOUT_HOME": services.env["TIEOUT_HOME"]}))
    cut(path, folder)
    foreign = put(folder, 2, 10, chunk(2))
    with looking(services.env, folder, "claims") as found:
        second = next(each for each in folder.iterdir() if "_002_" in each.name and each != foreign)
        whole = second.read_bytes()
        second.write_bytes(whole[:-9])
        assert not found.look()
        assert found.findings == [("CUT_OFF", second.name, False)]
        second.write_bytes(whole)
        assert found.look(), "the claim of the third chunk says that the input ends with it"
        assert found.chunks == [(1, 10, 0), (2, 10, 0), (3, 10, 0)]
        assert found.rows("select ended_at is not null from patterns.watches where watch_id = %s") == [(True,)]
        assert "2 customers have no weight" in found.said[-1]
        status = read_status("claims", settings)[0]
        assert (status["chunks"], status["rows"], status["customers_without_weight"]) == (3, 30, 2)
        assert "2 customers without a weight" in status_as_text([status])
        found.look()
        assert ("DOUBLED", foreign.name, False) in found.findings


PROGRAM = """
import os, sys
from pathlib import Path
from chunk_folder import looking, rules
with looking(os.environ, Path(sys.argv[1]), sys.argv[2], rules(merchant_above=10**6)) as found:
    found.look()
"""


def killed(env: dict[str, str], folder: Path, name: str, order: str) -> int:
    environment = {**os.environ, **env, failpoints.VARIABLE: order, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", PROGRAM, str(folder), name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def outcome(found: Looked) -> tuple[Any, ...]:
    return (
        found.chunks,
        found.detections,
        found.rows("select count(*), sum(amount) from patterns.payments where watch_id = %s"),
        found.rows("select count(*) from patterns.detection_files where watch_id = %s and put_at is not null"),
    )


def test_kill_9_at_each_point_gives_the_same_chunks_detections_and_files(services: Handle, tmp_path: Path) -> None:
    outcomes = []
    for name, orders in (
        ("calm", []),
        (
            "killed",
            ["patterns.before-commit", "patterns.before-commit:2", "patterns.after-commit", "patterns.after-put"],
        ),
    ):
        folder, first = tmp_path / name / "input_chunks", 0
        for number in range(1, 7):
            lines = [line(f"D{number}{i:02}", amount="2.00") for i in range(20) for _ in range(3)]
            put(folder, number, first, lines)
            first += len(lines)
        for order in orders:
            assert killed(services.env, folder, name, order) == -signal.SIGKILL
        assert killed(services.env, folder, name, "") == 0
        with looking(services.env, folder, name, rules(merchant_above=10**6)) as found:
            outcomes.append(outcome(found))
        written = [len(json.loads(each.read_text())) for each in (tmp_path / name / "detections").iterdir()]
        assert sorted(written) == [20, 50, 50]
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][1]) == 120
