"""The service that the README shows to be copied is one."""

import re
import sys

import control.services
from contracts.entities import load_entities
from control import registry
from control.accounts import Accounts
from control.env import ensure_env, settings
from control.processes import Platform
from control.topics import rights
from core.layout import CHECKOUT, find_layout


def test_the_service_that_the_readme_shows_can_be_copied(tmp_path, monkeypatch):
    (shown,) = re.findall(r"```python\n(.*?SERVICE = .*?)```", (CHECKOUT / "control/README.md").read_text(), re.DOTALL)
    (tmp_path / "mirror.py").write_text(shown)
    monkeypatch.setattr(control.services, "__path__", [*control.services.__path__, str(tmp_path)])
    layout = find_layout({"TIEOUT_HOME": str(tmp_path / "home")})
    layout.home.mkdir()
    registry._services.cache_clear()
    try:
        ensure_env(layout)
        accounts = Accounts("someone", "another", layout.postgres_data, layout.state)
        process = Platform(layout, accounts, settings(layout)).services["mirror"]
        allowed = {acl.name for acl in rights(load_entities(), registry.services_of(layout))["mirror"]}
    finally:
        sys.modules.pop("control.services.mirror", None)
        registry._services.cache_clear()
    assert len(process.environment["KAFKA_PASSWORD_MIRROR"]) == 32
    assert "POSTGRES_PASSWORD_LOADER" not in process.environment
    assert allowed >= {entity.topic.name for entity in load_entities()}
