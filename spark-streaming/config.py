"""Show the stream's settings, secrets masked: `python spark-streaming/config.py`. Others can import `settings`."""

from core.layout import find_layout
from core.settings import Settings, load_settings


def settings() -> Settings:
    """Return the settings of the platform that TIEOUT_HOME names, else of the checkout."""
    return load_settings(find_layout())


if __name__ == "__main__":
    print(settings().model_dump_json(indent=2))  # noqa: T201
