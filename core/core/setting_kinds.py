"""What kinds of settings there are: drawn, given, written, empty or ours."""

from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo

SECRET, GIVEN, WRITTEN, EMPTY, OURS = "secret", "given", "written", "empty", "ours"


def secret(about: str = "") -> Any:
    """Drawn at set-up; it stands in `.env` alone."""
    return Field(default=None, description=about, json_schema_extra={"kind": SECRET})


def given(about: str = "") -> Any:
    """Secret too, and not ours to draw: somebody else gave it."""
    return Field(default=None, description=about, json_schema_extra={"kind": GIVEN})


def written(default: object, about: str = "", **limits: Any) -> Any:
    """Written into `.env` at set-up with its default, for people to change."""
    return Field(default=default, description=about, json_schema_extra={"kind": WRITTEN}, **limits)


def empty(default: object, about: str = "", **limits: Any) -> Any:
    """Empty in `.env.example`, and not in `.env` until somebody sets it."""
    return Field(default=default, description=about, json_schema_extra={"kind": EMPTY}, **limits)


def ours(default: object, about: str = "", **limits: Any) -> Any:
    """Set by what starts a process, such as docker-compose.yml; no setting for people."""
    return Field(default=default, description=about, json_schema_extra={"kind": OURS}, **limits)


def kind_of(field: FieldInfo) -> str:
    """Return what a setting is: drawn as a secret, written with its default, empty, or ours alone."""
    extra = field.json_schema_extra
    return str(extra["kind"]) if isinstance(extra, dict) else OURS
