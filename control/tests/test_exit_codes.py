"""The exit code says whether to try again: 75 for an outage, 78 for what a person decides, 1 for what stays wrong."""

import psycopg
import pytest

from control import cli
from core.errors import OutageError, RefusalError, TieoutError
from warehouse.errors import DatabaseAwayError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TieoutError("a test failed.", "the marts are as they were.", "./scripts/tieout build"), 1),
        (OutageError("kafka is away.", "nothing was read.", "./scripts/start.sh"), 75),
        (RefusalError("the topic was made anew.", "nothing was read.", "./scripts/tieout stream --accept-topic X"), 78),
        (DatabaseAwayError(psycopg.OperationalError("refused"), "nothing was read."), 75),
    ],
)
def test_an_outage_asks_for_another_try_and_any_other_error_does_not(monkeypatch, capsys, error, code):
    def fail():
        raise error

    monkeypatch.setattr(cli, "build_app", lambda: fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert "Next: ./scripts/" in capsys.readouterr().err
