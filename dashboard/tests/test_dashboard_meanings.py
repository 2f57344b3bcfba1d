"""What the pages say of marts, connections and alerts, without a database or a page."""

import json
import re

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from control.services.dashboard import PAGES
from core.layout import CHECKOUT
from core.settings import Settings
from dashboard import alerts_shown
from dashboard.catalogue import marts
from dashboard.connections import details, lines
from dashboard.meanings import MODELS

SECRET = "the-readers-password"
SETTINGS = Settings(
    postgres_host="127.0.0.1", postgres_port=15432, postgres_db="payments", postgres_password_reader=SECRET
)


def test_start_prints_the_address_of_every_page_and_of_no_other():
    app = (CHECKOUT / "dashboard" / "dashboard" / "app.py").read_text(encoding="utf-8")
    assert re.findall(r'url_path="(\w+)"', app) == [*list(PAGES)[1:], "business"]


def test_no_folder_beside_the_app_makes_pages_of_its_own():
    assert not (CHECKOUT / "dashboard" / "dashboard" / "pages").exists()


def test_every_mart_is_there_with_a_meaning_for_each_column():
    found = marts()
    assert {mart.name for mart in found} == {path.stem for path in (MODELS / "marts").glob("*.sql")}
    assert len(found) >= 13
    for mart in found:
        assert "Grain: one row " in mart.meaning
        assert mart.columns
        for column in mart.columns:
            assert column.meaning, f"{mart.name}.{column.name}"
            assert column.data_type
            assert "{{" not in column.meaning


def test_no_mart_has_what_the_contract_calls_personal():
    personal = {field.name for field in load_entity(PAYMENTS).fields if field.personal == "personal"}
    assert "customer_email" in personal
    assert not personal & {column.name for mart in marts() for column in mart.columns}


def test_each_line_for_a_tool_names_the_database_and_the_reader_and_never_the_password():
    assert details(SETTINGS) == {"Host": "127.0.0.1", "Port": "15432", "Database": "payments", "User": "reader"}
    found = {line.title: line.text for line in lines(SETTINGS)}
    assert {"psql", "JDBC", "ODBC", "Python"} <= found.keys()
    for title, text in found.items():
        assert "127.0.0.1" in text
        assert "15432" in text
        assert SECRET not in text
        if title != "From another machine":
            assert "payments" in text
            assert "reader" in text
    assert re.match(r"jdbc:postgresql://127\.0\.0\.1:15432/payments\?", found["JDBC"])


def test_evidence_is_told_line_by_line_what_was_found_first():
    kept = {
        "rule": "IMPOSSIBLE_TRAVEL", "version": 1, "values": {"km": 1171, "to": ["IN", None, "Kochi"]},
        "threshold": {"faster_than_kmh": 1000}, "event": [0, 20], "remembered_since": [0, 3],
        "earlier_events": [[0, offset] for offset in range(9, 19)],
    }  # fmt: skip
    assert [tuple(line.values()) for line in alerts_shown.evidence(json.dumps(kept))] == [
        ("found", "km", "1171"),
        ("found", "to", "IN, Kochi"),
        ("threshold", "faster than kmh", "1000"),
        ("earlier events", "partition:offset", "2 more, then 0:11, 0:12, 0:13, 0:14, 0:15, 0:16, 0:17, 0:18"),
    ]
    assert alerts_shown.brief(json.dumps(kept)) == "km 1171, to IN, Kochi against faster than kmh 1000"
    assert len(alerts_shown.brief(json.dumps({"values": {"x": "y" * 500}}))) == alerts_shown.LONGEST
    assert alerts_shown.command({"alert_id": "a1"}) == "./scripts/tieout alert explain a1"
