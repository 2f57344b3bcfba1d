"""Serve the dashboard on loopback: `python -m dashboard`. The platform runs it as the service dashboard."""

import sys
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from core.errors import TieoutError
from core.settings import load_settings
from dashboard.auth import Door
from dashboard.connections import reader_dsn

PAGES = Path(__file__).with_name("app.py")


def streamlit_options(address: str, port: int) -> dict[str, Any]:
    """Return how the server behaves: loopback, silent to the outside, no details of errors to a visitor."""
    return {
        "server.address": address,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.enableStaticServing": False,
        "server.maxUploadSize": 1,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "viewer",
        "runner.magicEnabled": False,
        "theme.paddingTop": "1rem",
        "theme.headingFontSizes": ["2rem", "1.6rem", "1.2rem"],
        "theme.metricValueFontSize": "1.8rem",
        "theme.light.primaryColor": "#0072B2",
        "theme.dark.primaryColor": "#56B4E9",
    }


def say_error(error: Exception) -> bool:
    """Write which error a page ended with, without its text: that may carry what nobody should read in a log."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
    print(f"a page failed: {type(error).__name__} at {where}", file=sys.stderr)  # noqa: T201 - the service's log
    return False


def main() -> None:
    """Serve until asked to end."""
    try:
        settings = load_settings()
        token = settings.secret("DASHBOARD_TOKEN")
        reader_dsn(settings)
    except TieoutError as error:
        sys.exit(str(error))
    app = st.App(
        PAGES,
        middleware=[
            Middleware(Door, token=token, port=settings.dashboard_port, address=settings.dashboard_address),
        ],
        on_script_error=say_error,
    )
    app.run(config=streamlit_options(settings.dashboard_address, settings.dashboard_port))


if __name__ == "__main__":
    main()
