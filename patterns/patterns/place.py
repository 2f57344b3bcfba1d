"""Where chunks and detections are: `s3://bucket/prefix` with the store and keys of the lake, or a folder."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from core.errors import OptionError
from core.lake import Lake
from core.layout import Layout
from core.places import LocalPlace, Place
from core.setting_types import LakeUrl
from core.settings import Settings
from core.text import shown


def open_folder(address: str, settings: Settings, layout: Layout) -> tuple[Place, str]:
    """Return the place that a folder is in, and the folder's name there; nothing is asked or made.

    Args:
        address: `s3://bucket/prefix`, or the path of a folder.

    Raises:
        OptionError: it is no such address.
        TieoutError: a store's keys are not whole.
    """
    if not address.startswith("s3:"):
        path = Path(address.removeprefix("file:")).expanduser().absolute()
        if not path.name:
            raise _refused(address, "it names no folder")
        return LocalPlace(path.parent), path.name
    try:
        url = TypeAdapter(LakeUrl).validate_python(address)
    except ValidationError as error:
        raise _refused(address, error.errors(include_url=False)[0]["msg"]) from None
    parent, _, folder = url.rpartition("/")
    if parent in ("s3:/", "s3:"):
        raise _refused(address, "it names a bucket and no folder in it")
    return Lake.at(parent, settings, layout).place, folder


def default_folder(name: str, settings: Settings, layout: Layout) -> str:
    """Return the address of a folder of ours: in the lake's bucket, or below the home's `data/`.

    Args:
        name: `input_chunks` or `detections`.
    """
    if settings.lake_url.startswith("s3:"):
        return f"{settings.lake_url}/{name}"
    return str({"input_chunks": layout.input_chunks, "detections": layout.detections}[name])


def _refused(address: str, why: str) -> OptionError:
    return OptionError(
        f"{shown(address)} is no place for files: {why}.",
        "nothing was read or written.",
        "give s3://bucket/folder, or the path of a folder",
    )
