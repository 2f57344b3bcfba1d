"""`.env.example`: rendered from the settings."""

import textwrap

from core.setting_kinds import EMPTY, OURS, WRITTEN, kind_of
from core.settings import Settings

# The first field of each section of `.env.example`.
_SECTIONS = {
    "kafka_bootstrap": "Broker",
    "postgres_host": "Warehouse",
    "card_hash_key": "Gateway",
    "spark_ui_port": "Stream",
    "lake_url": "Lake",
    "run_every_seconds": "Pipeline",
    "loop": "Loop and Airflow",
    "live_batch_events": "Live view",
    "dashboard_address": "Dashboard",
}

_HEAD = """\
# Every setting of a Tieout platform. ./scripts/setup.sh writes `.env` beside this file (mode 600): it draws the secrets
# and keeps every value that is there already. Change a value in `.env`, then ./scripts/stop.sh and ./scripts/start.sh.
# A variable of the same name in the process environment wins. Nothing here has a default password.
# Rendered from core/core/settings.py by ./scripts/tieout contract render.
"""


def render_example() -> str:
    """Return the text of `.env.example`."""
    lines = [_HEAD.rstrip("\n")]
    for name, field in Settings.model_fields.items():
        kind = kind_of(field)
        if name in _SECTIONS:
            lines.append(f"\n# --- {_SECTIONS[name]} ".ljust(121, "-"))
        if kind == OURS:
            continue
        about = field.description or ""
        if kind == EMPTY and field.default != "":
            about += f" Empty: {field.default}."
        lines += textwrap.wrap(about.strip(), 120, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"{name.upper()}={field.default if kind == WRITTEN else ''}")
    return "\n".join(lines) + "\n"
