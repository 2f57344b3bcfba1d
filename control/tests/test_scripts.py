import os
import shutil
import subprocess

import pytest

from core.layout import CHECKOUT

SCRIPTS = CHECKOUT / "scripts"


def _bare_path(tmp_path, *programs):
    """A PATH with the named programs only."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in programs:
        (folder / program).symlink_to(shutil.which(program))
    return {"PATH": str(folder), "HOME": str(tmp_path)}


COMMON = ("bash", "dirname", "id", "readlink", "sed", "head", "cat", "cksum", "mkdir", "basename", "env")


def test_set_up_without_java_says_how_to_install_it(tmp_path):
    done = subprocess.run(
        [SCRIPTS / "setup.sh"], env=_bare_path(tmp_path, *COMMON), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Java 17 is needed: no java is on PATH." in done.stderr
    assert "openjdk-17-jre-headless" in done.stderr


@pytest.mark.parametrize(("banner", "found"), [('openjdk version "11.0.2"', "11"), ('java version "1.8.0_292"', "1")])
def test_set_up_refuses_an_older_java(tmp_path, banner, found):
    environment = _bare_path(tmp_path, *COMMON)
    fake = tmp_path / "bin" / "java"
    fake.write_text(f"#!/bin/sh\necho '{banner}' >&2\n")
    fake.chmod(0o755)
    (tmp_path / "bin" / "sh").symlink_to(shutil.which("sh"))
    done = subprocess.run([SCRIPTS / "setup.sh"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"java on PATH is version {found}" in done.stderr


def test_scripts_refuse_words_they_do_not_know():
    done = subprocess.run([SCRIPTS / "setup.sh", "--nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_the_command_runs_from_any_folder_and_through_a_link(tmp_path):
    link = tmp_path / "tieout"
    link.symlink_to(SCRIPTS / "tieout")
    done = subprocess.run([link, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("start", "stop", "status", "doctor", "run", "sql", "logs", "reset", "build", "produce", "proof"):
        assert f" {command} " in done.stdout


def test_an_error_is_three_parts_and_no_traceback(tmp_path):
    done = subprocess.run(
        [SCRIPTS / "tieout", "status"],
        env={**os.environ, "TIEOUT_HOME": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Left as it is:" in done.stderr
    assert "Next: ./scripts/setup.sh" in done.stderr
    assert "Traceback" not in done.stderr
