"""The lineage site: dbt's documentation as one page."""

import sys
from typing import TYPE_CHECKING

from control.accounts import own_file
from control.loopback import page_answers
from control.service import Address, Folder, Service, Settings

if TYPE_CHECKING:
    from control.processes import Platform


def _url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings['DOCS_PORT']}"


def _place_holder(platform: "Platform") -> None:
    """Say on the site why it is empty, until the first documentation takes the page's place."""
    page = platform.layout.docs_site / "index.html"
    if not page.exists():
        text = "<!doctype html><title>Tieout: lineage</title><p>The first run of the pipeline writes this page.\n"
        own_file(page, text, platform.accounts.services)


SERVICE = Service(
    name="lineage",
    place=24,
    command=lambda platform: (
        *(sys.executable, "-I", "-S", "-m", "http.server", "--bind", "127.0.0.1"),
        *("--directory", str(platform.layout.docs_site), platform.settings["DOCS_PORT"]),
    ),
    ports=("DOCS_PORT",),
    check=page_answers("DOCS_PORT", "/"),
    url=_url,
    addresses=lambda platform: [Address("lineage", _url(platform.settings), place=40)],
    folders=lambda layout, _: [Folder(layout.docs_site)],
    prepare=_place_holder,
)
