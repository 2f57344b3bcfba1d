"""What goes wrong in a task, far from the driver, is said in the driver's words."""

import pytest

from core.errors import OutageError
from core.settings import Settings
from spark_streaming import failures

STACK = "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n  File ..., line 9\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('java.io.IOException: Cannot run program "/srv/x/bin/python": error=2', "there is no /srv/x/bin/python."),
        ("ModuleNotFoundError: No module named 'contracts.judge'", "there is no contracts.judge."),
    ],
)
def test_an_executor_without_the_streams_python_is_named(text, words):
    found = failures.explain(RuntimeError(STACK + text), Settings(), "transactions")
    assert found.what == f"An executor lacks the stream's Python: {words}"
    assert "the same path on every machine" in found.next


def test_an_executor_with_another_python_is_named():
    text = "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.12 than that in driver: 3.11, PySpark"
    found = failures.explain(RuntimeError(STACK + text), Settings(), "transactions")
    assert found.what == "An executor has Python 3.12, and the stream has 3.11."
    assert "./scripts/tieout pack" in found.next


def test_a_store_that_a_worker_does_not_reach_is_an_outage():
    said = (
        "core.errors.OutageError: the store at http://127.0.0.1:8333 does not answer: no connection.\nLeft as it is: x"
    )
    found = failures.explain(RuntimeError(STACK + said), Settings(), "transactions")
    assert isinstance(found, OutageError)
    assert found.what == "the store at http://127.0.0.1:8333 does not answer: no connection."
