import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data_generator.dataset import FILE, credentials, fetch
from data_generator.errors import DatasetError

TOKEN = {"KAGGLE_API_TOKEN": "x"}


def serving(text: str, *, packed: bool) -> Callable[[str, str, Path], None]:
    def download(_dataset: str, file: str, folder: Path) -> None:
        if packed:
            with zipfile.ZipFile(folder / f"{file}.zip", "w") as archive:
                archive.writestr(file, text)
        else:
            (folder / file).write_text(text)

    return download


@pytest.mark.parametrize("packed", [True, False])
def test_the_file_gets_its_name_when_it_is_whole_and_checked(
    tmp_path: Path, sound: dict[str, str], as_csv: Callable[..., str], packed: bool
) -> None:
    to = tmp_path / "batch_files" / FILE
    text = as_csv([sound] * 3)
    found = fetch(to, force=False, environ=TOKEN, download=serving(text, packed=packed), expected_rows=3)
    assert found["rows"] == 3
    assert to.read_text() == text
    assert list(to.parent.iterdir()) == [to]


def test_without_credentials_nothing_happens_and_the_way_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"KAGGLE_API_TOKEN.*--kaggle FILE") as raised:
        fetch(tmp_path / FILE, force=False, environ={}, home=tmp_path)
    assert "no credentials" in raised.value.what
    assert list(tmp_path.iterdir()) == []


def test_credentials_are_looked_for_where_the_client_looks(tmp_path: Path) -> None:
    assert credentials({}, tmp_path) is None
    assert credentials(TOKEN, tmp_path) == "KAGGLE_API_TOKEN"
    assert credentials({"KAGGLE_USERNAME": "a"}, tmp_path) is None
    assert credentials({"KAGGLE_USERNAME": "a", "KAGGLE_KEY": "b"}, tmp_path)
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / "kaggle.json").write_text("{}")
    assert credentials({}, tmp_path) == str(tmp_path / ".kaggle" / "kaggle.json")


@pytest.mark.parametrize("change", [{"amt": "x"}, {"cc_num": "2.7E+15"}])
def test_what_is_not_the_published_file_is_not_kept(
    tmp_path: Path, sound: dict[str, str], as_csv: Callable[..., str], change: dict[str, str]
) -> None:
    to = tmp_path / FILE
    to.write_text("old")
    for rows in ([sound], [sound, sound | change]):
        with pytest.raises(DatasetError, match="not the published"):
            fetch(
                to, force=True, environ=TOKEN, download=serving(as_csv(rows), packed=False), expected_rows=2
            )  # fmt: skip
    assert to.read_text() == "old"
    assert list(tmp_path.iterdir()) == [to]


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def breaks(_dataset: str, file: str, folder: Path) -> None:
        (folder / file).write_text("half")
        raise SystemExit(1)

    with pytest.raises(DatasetError, match="Kaggle did not deliver"):
        fetch(tmp_path / FILE, force=False, environ=TOKEN, download=breaks)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    to = tmp_path / FILE
    to.write_text("old")
    with pytest.raises(DatasetError, match="there already"):
        fetch(to, force=False, environ=TOKEN)
    assert to.read_text() == "old"
