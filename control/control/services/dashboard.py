"""The dashboard: pages for people, who show its token first."""

import sys
from typing import TYPE_CHECKING

from control.loopback import page_answers
from control.service import INTERACTIVE, WAREHOUSE, Address, Role, Service, Settings

if TYPE_CHECKING:
    from control.processes import Platform

# Behind the door that the address with the token opens.
PAGES = {
    "business": "fees, volume, failures",
    "live": "the flow this second",
    "alerts": "what the rules have found, with evidence",
    "customer": "one customer's latest payments",
    "books": "do the numbers tie out",
    "connect": "for other tools",
}


def _url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings['DASHBOARD_PORT']}"


def _addresses(platform: "Platform") -> list[Address]:
    base, token = _url(platform.settings), platform.settings["DASHBOARD_TOKEN"]
    pages = (Address(f"- {page}", f"{base}/{page}", about) for page, about in PAGES.items())
    return [Address("dashboard", f"{base}/?token={token}", "with this address"), *pages]


SERVICE = Service(
    name="dashboard",
    place=25,
    command=lambda _: (sys.executable, "-P", "-m", "dashboard"),
    knows=(
        *WAREHOUSE,
        "POSTGRES_PASSWORD_READER",
        *("DASHBOARD_PORT", "DASHBOARD_TOKEN", "DASHBOARD_STALE_AFTER_SECONDS"),
    ),
    ports=("DASHBOARD_PORT",),
    waits_for=("postgres",),
    priority=INTERACTIVE,
    check=page_answers("DASHBOARD_PORT", "/_stcore/health"),
    url=_url,
    addresses=_addresses,
    roles=(
        Role(
            "reader",
            15,  # readers of dashboards
            defaults=(
                # Grants are the guard; these two keep an honest reader from harm.
                "default_transaction_read_only = on",
                "statement_timeout = '15s'",
                # This one nobody but a superuser can change: what a question may write to disk while it is answered.
                "temp_file_limit = '1GB'",
            ),
        ),
    ),
)
