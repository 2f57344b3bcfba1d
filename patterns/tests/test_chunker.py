"""A file in chunks: exactly its rows, in order, whatever is killed, and refused before a chunk is made."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
from csv import reader, writer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import failpoints
from core.errors import OutageError, TieoutError
from core.places import LocalPlace
from patterns.chunk_names import parse_chunk_name
from patterns.chunker import Chunker, Clock, Made, Summary
from patterns.input_file import LONGEST_ROW, InputFile

HEADER = "step,customer,amount\n"
TIEOUT = Path(sys.executable).with_name("tieout")


class Time:
    """A clock that goes on only when somebody waits, and by what a put is said to last."""

    def __init__(self, lasts: dict[int, float] | None = None) -> None:
        self.now, self._lasts, self.waits = 1_000.25, lasts or {}, list[float]()

    def pause(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return True

    def take(self, made: Made) -> None:
        self.now += self._lasts.get(made.number, 0.0)


def rows(count: int) -> str:
    return "".join(f"{i},'C{i}',{i}.50\n" for i in range(count))


def write(folder: Path, text: str | bytes, name: str = "in.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def cut(path: Path, to: Path, every: float = 0.0, size: int = 10, time: Time | None = None) -> Summary:
    time = time or Time()
    clock = Clock(lambda: time.now, time.pause)
    place = LocalPlace(to.parent)
    chunker = Chunker(
        InputFile(path), place, to.name, rows=size, every=every, clock=clock, say=lambda _: None, told=time.take
    )
    return chunker.run()


def chunks(folder: Path) -> list[tuple[int, int, bytes]]:
    parsed = [(parse_chunk_name(each.name), each.read_bytes()) for each in folder.iterdir()]
    return sorted((name.number, name.first_row, data) for name, data in parsed if name)


def together(folder: Path) -> bytes:
    return b"".join(data.partition(b"\n")[2] for _, _, data in chunks(folder))


@pytest.mark.parametrize("packed", [False, True])
def test_every_row_is_in_one_chunk_and_in_order(tmp_path: Path, packed: bool) -> None:
    text = (HEADER + rows(47)).encode()
    path = write(tmp_path, gzip.compress(text) if packed else text)
    found = cut(path, tmp_path / "to")
    made = chunks(tmp_path / "to")
    assert [(number, first) for number, first, _ in made] == [(1, 0), (2, 10), (3, 20), (4, 30), (5, 40)]
    assert all(data.startswith(HEADER.encode()) for _, _, data in made)
    assert together(tmp_path / "to") == rows(47).encode()
    assert (found.made, found.rows, found.last_rows, found.is_whole) == (5, 47, 7, True)


def test_the_same_command_again_makes_nothing_anew(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + rows(25))
    cut(path, tmp_path / "to")
    before = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "to").iterdir()}
    again = cut(path, tmp_path / "to")
    assert (again.made, again.found, again.rows) == (0, 3, 25)
    assert {each.name: each.stat().st_mtime_ns for each in (tmp_path / "to").iterdir()} == before


def test_a_chunk_that_was_claimed_keeps_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + rows(25))
    cut(path, tmp_path / "to")
    second = next(each for each in (tmp_path / "to").iterdir() if "_002_" in each.name)
    data = second.read_bytes()
    second.unlink()
    later = Time()
    later.now += 3_600
    cut(path, tmp_path / "to", time=later)
    assert second.read_bytes() == data
    assert len(chunks(tmp_path / "to")) == 3


def test_another_file_or_another_size_is_refused_and_named(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + rows(25))
    cut(path, tmp_path / "to")
    other = write(tmp_path, HEADER + rows(26), "other.csv")
    before = sorted(each.name for each in tmp_path.rglob("*"))
    for each, size in ((other, 10), (path, 5)):
        with pytest.raises(TieoutError, match="SHA-256") as refused:
            cut(each, tmp_path / "to", size=size)
        assert "--to another folder" in refused.value.next
    assert sorted(each.name for each in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../../outside.csv", "transactions_chunk_20260101_000000_003_20.csv"])
def test_a_claim_of_another_name_than_a_chunks_is_none(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, HEADER + rows(25))
    cut(path, tmp_path / "to")
    claim = tmp_path / "to_claims" / "000000002.json"
    claim.write_text(json.dumps(json.loads(claim.read_text()) | {"name": name}))
    before = sorted(each.name for each in tmp_path.rglob("*"))
    with pytest.raises(TieoutError, match="is no claim of a chunk"):
        cut(path, tmp_path / "to")
    assert sorted(each.name for each in tmp_path.rglob("*")) == before


def test_other_bytes_under_a_claimed_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + rows(25))
    cut(path, tmp_path / "to")
    second = next(each for each in (tmp_path / "to").iterdir() if "_002_" in each.name)
    second.write_bytes(b"cut off")
    with pytest.raises(TieoutError, match="other bytes than chunk 2"):
        cut(path, tmp_path / "to")
    assert second.read_bytes() == b"cut off"


def test_one_chunk_a_second_and_a_late_one_is_caught_up(tmp_path: Path) -> None:
    path, time = write(tmp_path, HEADER + rows(60)), Time({2: 2.5})
    begun = list[float]()
    take = time.take

    def told(made: Made) -> None:
        begun.append(time.now)
        take(made)

    time.take = told  # type: ignore[method-assign]
    found = cut(path, tmp_path / "to", every=1.0, time=time)
    # The second chunk took 2.5 s: the third and the fourth begin at once, the fifth on its second again.
    assert begun == [1001.0, 1002.0, 1004.5, 1004.5, 1005.0, 1006.0]
    assert found.late == 2
    assert found.as_json()["drift_max"] == 1.5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1: it is empty"),
        (b"\n1,2\n", "line 1: it is empty"),
        (HEADER.encode(), "line 1: it has a header and no row"),
        (b"a,b,a\n1,2,3\n", "line 1: two columns are called a"),
        (b"a,,c\n1,2,3\n", "line 1: a column has no name"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1: it holds a NUL byte"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote that opens there never closes"),
        (b"a,b\n1," + b"x" * LONGEST_ROW + b"\n", "line 2: it has more than"),
        (gzip.compress(b"a,b\n" + os.urandom(99_999).hex().encode())[:-50_000], "its compression is damaged"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_anything_is_made(tmp_path: Path, content: bytes, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(TieoutError) as refused:
        cut(path, tmp_path / "to")
    assert says in refused.value.what
    assert [each.name for each in tmp_path.iterdir()] == ["in.csv"]


def test_a_file_that_changes_meanwhile_is_no_longer_cut(tmp_path: Path) -> None:
    path, time = write(tmp_path, HEADER + rows(60)), Time()

    def told(made: Made) -> None:
        if made.number == 2:
            path.write_text(HEADER + rows(61))

    time.take = told  # type: ignore[method-assign]
    with pytest.raises(TieoutError, match="has changed"):
        cut(path, tmp_path / "to", time=time)
    assert len(chunks(tmp_path / "to")) == 2


def test_a_file_that_is_changed_behind_its_times_is_found_out_at_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + rows(60_000))
    stat = path.stat()
    source = InputFile(path)
    pieces = source.pieces(10, source.survey())
    next(pieces)
    with path.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"6")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(TieoutError, match="has changed"):
        list(pieces)


def test_a_full_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, failures, said = write(tmp_path, HEADER + rows(25)), iter([True, True, False]), list[str]()
    create = LocalPlace.create

    def full(self: LocalPlace, name: str, data: bytes) -> None:
        if "_002_" in name and next(failures, False):
            raise OutageError("the store is full.", "as it is.", "make room")
        create(self, name, data)

    monkeypatch.setattr(LocalPlace, "create", full)
    time = Time()
    clock = Clock(lambda: time.now, time.pause)
    place = LocalPlace(tmp_path)
    Chunker(InputFile(path), place, "to", rows=10, every=0, clock=clock, say=said.append).run()
    assert said == ["waiting: the store is full.", "going on"]
    assert together(tmp_path / "to") == rows(25).encode()


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8) | st.sampled_from(
    ['"', 'a"b', "a,b", "two\nlines", '","', "'q'", '5" pipe', "\n", 'a"\nb']
)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=20), st.integers(1, 7))
def test_rows_are_those_that_a_csv_reader_finds(table: list[tuple[str, str]], size: int) -> None:
    import tempfile  # noqa: PLC0415  (hypothesis and pytest's folder do not go together)

    out = io.StringIO(newline="")
    writer(out, lineterminator="\n").writerows([("a", "b"), *(("x" + one, two) for one, two in table)])
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), out.getvalue())
        cut(path, Path(folder) / "to", size=size)
        found = [
            row
            for _, _, data in chunks(Path(folder) / "to")
            for row in list(reader(io.StringIO(data.decode(), newline="")))[1:]
        ]
        sizes = [
            len(list(reader(io.StringIO(data.decode(), newline="")))) - 1 for _, _, data in chunks(Path(folder) / "to")
        ]
    assert found == [["x" + one, two] for one, two in table]
    assert all(each == size for each in sizes[:-1])


def command(path: Path, to: Path, order: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TIEOUT_HOME": str(path.parent), failpoints.VARIABLE: order}
    words = [str(TIEOUT), "chunks", str(path), "--rows", "10", "--every", "0s", "--to", str(to), "--json"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_kill_9_between_claim_and_chunk_leaves_no_gap_and_no_second_chunk(tmp_path: Path) -> None:
    path, to = write(tmp_path, HEADER + rows(55)), tmp_path / "to"
    for order in ("chunks.after-claim:2", "chunks.after-put:2", "chunks.after-claim", "chunks.after-put"):
        killed = command(path, to, order)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = command(path, to)
    assert done.returncode == 0, done.stderr
    assert [(number, first) for number, first, _ in chunks(to)] == [(i + 1, i * 10) for i in range(6)]
    assert together(to) == rows(55).encode()
    assert json.loads(done.stdout.splitlines()[-1])["found"] >= 3
