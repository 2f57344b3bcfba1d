"""Looking inside: a log is text, and statements are statements."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from control import terminal
from core.errors import TieoutError
from core.layout import CHECKOUT, Layout


def test_a_log_is_printed_as_text_whatever_somebody_sent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    layout = Layout(CHECKOUT, tmp_path)
    layout.logs.mkdir(parents=True)
    lines = b"first\n\x1b[32mINFO\x1b[0m feed \x1b[2J[/x]\x1b]0;title\x07\ncaf\xe9 \xe2\x80\xae\n"
    (layout.logs / "stream.log").write_bytes(lines)
    with pytest.raises(SystemExit) as ended:
        terminal.show_log(layout, "stream", lines=2, follow=False)
    assert ended.value.code == 0
    assert capfd.readouterr().out.splitlines() == [
        "INFO feed <U+001B>[2J[/x]<U+001B>]0;title<U+0007>",
        "caf\\xe9 <U+202E>",
    ]
    with pytest.raises(TieoutError, match="no log of -x"):
        terminal.show_log(layout, "-x", lines=2, follow=False)


@pytest.mark.parametrize(
    ("read", "refused"),
    [
        (b"\\! id", "psql's own commands"),
        (b"\xef\xbb\xbf \n\\copy x to y", "psql's own commands"),
        (b"select '\xff'", "no text in UTF-8"),
        (b"select 1\0", "no text in UTF-8"),
        (b"x" * (terminal.LONGEST_QUERY + 1), "longer than"),
    ],
)
def test_standard_input_that_is_no_statement_is_refused(read: bytes, refused: str) -> None:
    with pytest.raises(TieoutError, match=refused):
        terminal._statements(read)


@pytest.mark.services
def test_statements_run_no_program_and_the_commands_of_psql_are_refused(services, tmp_path):
    def sql(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "control", "sql", *arguments]
        environment = os.environ | services.env
        return subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)

    tmp_path.chmod(0o777)
    assert sql("-t", given="select 1;\nselect 2").stdout.split() == ["1", "2"]
    assert sql("-t", "select 3").stdout.split() == ["3"]
    touch = f"\\! touch {tmp_path}/touched"
    for arguments, given in (((), f"select 1;\n{touch}\nselect 2"), ((), touch), ((touch,), ""), ((f" {touch}",), "")):
        assert sql(*arguments, given=given).returncode in {1, 2, 3}
    assert not (tmp_path / "touched").exists()
