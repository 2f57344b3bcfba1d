"""Where chunks and detections are: `s3://bucket/prefix` with the store and keys of the lake, or a folder."""

from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from core.errors import OptionError
from core.lake import Lake
from core.layout import Layout
from core.places import LocalPlace, Place
from core.setting_types import LakeUrl
from core.settings import Settings
from core.text import shown


class Folder(NamedTuple):
    """A folder of files.

    Attributes:
        place: its parent.
        name: of the folder in it.
    """

    place: Place
    name: str

    @property
    def address(self) -> str:
        """For people, and the same for every spelling."""
        return f"{self.place.url}/{self.name}"


def open_folder(address: str, settings: Settings, layout: Layout) -> Folder:
    """Return a folder; nothing is asked or made.

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
        return Folder(LocalPlace(path.parent), path.name)
    try:
        url = TypeAdapter(LakeUrl).validate_python(address)
    except ValidationError as error:
        raise _refused(address, error.errors(include_url=False)[0]["msg"]) from None
    parent, _, folder = url.rpartition("/")
    if parent in ("s3:/", "s3:"):
        raise _refused(address, "it names a bucket and no folder in it")
    return Folder(Lake.at(parent, settings, layout).place, folder)


def default_folder(settings: Settings, layout: Layout) -> str:
    """Return the address of the chunks where nobody names one: in the lake's bucket, or below the home's `data/`."""
    if settings.lake_url.startswith("s3:"):
        return f"{settings.lake_url}/{layout.input_chunks.name}"
    return str(layout.input_chunks)


def _refused(address: str, why: str) -> OptionError:
    return OptionError(
        f"{shown(address)} is no place for files: {why}.",
        "nothing was read or written.",
        "give s3://bucket/folder, or the path of a folder",
    )
