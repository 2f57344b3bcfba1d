"""Fetches the published card transactions with Kaggle's own client; what arrives is checked before it gets its name."""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from core.text import shown
from data_generator.card_row import CardRow
from data_generator.errors import DatasetError
from data_generator.kaggle_rows import read_rows

DATASET: Final = "kartik2112/fraud-detection"
FILE: Final = "fraudTrain.csv"
ROWS: Final = 1_296_675
HOW_TO: Final = (
    "make a token at kaggle.com (Settings, API) and save it as ~/.kaggle/access_token (mode 600), or set "
    "KAGGLE_API_TOKEN, or save the older kaggle.json as ~/.kaggle/kaggle.json; then ./scripts/tieout dataset download. "
    "Without an account: download fraudTrain.csv of the data set kartik2112/fraud-detection in a browser and name it "
    "with ./scripts/tieout produce --kaggle FILE; the bundled sample needs neither."
)

# (dataset, file, folder): puts the file, or a zip of it, into the folder.
Download = Callable[[str, str, Path], None]


def credentials(environ: Mapping[str, str], home: Path) -> str | None:
    """Return where Kaggle's client would find credentials, or None where it has none."""
    if environ.get("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    if environ.get("KAGGLE_USERNAME") and environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    folders = [Path(environ["KAGGLE_CONFIG_DIR"])] if environ.get("KAGGLE_CONFIG_DIR") else []
    folders += [home / ".kaggle", home / ".config" / "kaggle"]
    names = ("access_token", "kaggle.json", "credentials.json")
    return next((str(folder / name) for folder in folders for name in names if (folder / name).is_file()), None)


def _kaggle_download(dataset: str, file: str, folder: Path) -> None:
    # Imported here: the package logs in when it is imported.
    from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415

    api = KaggleApi()
    api.authenticate()
    api.dataset_download_file(dataset, file, path=str(folder), force=True, quiet=True)


def fetch(
    to: Path,
    *,
    force: bool,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
    download: Download = _kaggle_download,
    expected_rows: int = ROWS,
) -> dict[str, Any]:
    """Put the published file at `to`, whole and checked, or leave `to` as it was.

    Args:
        force: replace a file that is there.
        expected_rows: how many rows the published file has.

    Raises:
        DatasetError: no credentials, no answer, or not the published file.
    """
    _refuse_place(to, force=force)
    if credentials(os.environ if environ is None else environ, home or Path.home()) is None:
        raise DatasetError("Kaggle's client has no credentials.", "nothing was downloaded.", HOW_TO)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=to.parent) as scratch:
            arrived = _download(Path(scratch), download)
            rows = _checked(arrived, expected_rows)
            arrived.chmod(0o644)
            digest = _sha256(arrived)
            arrived.replace(to)
    except OSError as error:
        raise _cannot_be_written(to, error.strerror or str(error)) from None
    return {"ok": True, "file": str(to), "rows": rows, "sha256": digest}


def _refuse_place(to: Path, *, force: bool) -> None:
    """Refuse a place that cannot take the file before 350 MB were fetched for it."""
    if "\0" in str(to):
        raise _cannot_be_written(to, "a file's name cannot hold the character 0")
    try:
        if to.exists() and not force:
            raise DatasetError(f"{shown(to)} is there already.", "it was not touched.", "--force replaces it.")
        if to.exists() and not to.is_file():
            raise _cannot_be_written(to, "it is no regular file")
    except OSError as error:
        raise _cannot_be_written(to, error.strerror or str(error)) from None


def _cannot_be_written(to: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"{shown(to)} cannot be written: {reason}.",
        "no half-written file is left.",
        "name another place with --to FILE.",
    )


def _download(folder: Path, download: Download) -> Path:
    try:
        download(DATASET, FILE, folder)
    # The client raises what its HTTP library raises, and leaves with SystemExit when the login fails.
    except (Exception, SystemExit) as error:
        raise DatasetError(
            f"Kaggle did not deliver {FILE} of {DATASET}: {error}.", "nothing was kept.", HOW_TO
        ) from None
    for packed in folder.glob("*.zip"):
        try:
            with zipfile.ZipFile(packed) as archive, archive.open(FILE) as source, (folder / FILE).open("wb") as target:
                shutil.copyfileobj(source, target)
        # An encrypted archive is a RuntimeError, an unknown packing a NotImplementedError.
        except (zipfile.BadZipFile, KeyError, RuntimeError, EOFError, zlib.error) as error:
            raise DatasetError(f"{packed.name} is not a zip of {FILE}: {error}.", "nothing was kept.", HOW_TO) from None
    if not (folder / FILE).is_file():
        raise DatasetError(f"Kaggle's client delivered no {FILE}.", "nothing was kept.", HOW_TO)
    return folder / FILE


def _checked(file: Path, expected_rows: int) -> int:
    good, bad = 0, []
    for row in read_rows(file):
        if isinstance(row, CardRow):
            good += 1
        else:
            bad.append(row)
    if bad or good != expected_rows:
        first = f"; first of {len(bad)} that cannot be read: {bad[0]}" if bad else ""
        raise DatasetError(
            f"what Kaggle delivered is not the published {FILE}: {good} of {expected_rows} rows can be read{first}.",
            "nothing was kept.",
            "try again; a newer edition of the file can be named with ./scripts/tieout produce --kaggle FILE.",
        )
    return good


def _sha256(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
