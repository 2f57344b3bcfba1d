"""Work in parts: the others go on, and what failed is one error at the end."""

import pytest

from core.errors import OutageError, RefusalError, TieoutError
from core.parts import Parts, join


def test_a_part_that_fails_is_named_at_the_end_and_the_others_went_on() -> None:
    parts, done = Parts(["transactions", "refunds"]), []
    for name in ("transactions", "refunds"):
        with parts.part(name):
            if name == "transactions":
                raise TieoutError("the log lacks version 3.", "silver is as it was.", "look at it")
            done.append(name)
    assert (done, parts.well) == (["refunds"], ("refunds",))
    with pytest.raises(TieoutError) as caught:
        parts.raise_failed(done)
    error = caught.value
    assert str(error) == (
        "transactions: the log lacks version 3.\nLeft as it is: silver is as it was. refunds went on. Next: look at it"
    )
    assert (error.is_partial, error.done, list(error.failed)) == (True, ["refunds"], ["transactions"])


def test_nothing_is_raised_where_no_part_failed() -> None:
    parts = Parts(["refunds"])
    with parts.part("refunds"):
        pass
    parts.raise_failed()
    assert parts.well == ("refunds",)


def test_a_folder_that_may_not_be_read_is_the_error_of_its_part() -> None:
    parts = Parts(["transactions", "refunds"])
    with parts.part("refunds"):
        raise PermissionError(13, "Permission denied", "/lake/raw_refunds")
    assert parts.failed["refunds"].what == "/lake/raw_refunds: Permission denied."


def test_an_error_of_all_parts_alike_is_said_once() -> None:
    away = [OutageError("kafka is away.", "nothing was read.", "start it") for _ in range(2)]
    assert join(dict(zip("ab", away, strict=True))) is away[0]


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (OutageError, OutageError, OutageError),
        (RefusalError, RefusalError, RefusalError),
        (OutageError, RefusalError, TieoutError),
        (OutageError, TieoutError, TieoutError),
    ],
)
def test_only_what_can_get_better_by_itself_as_a_whole_is_an_outage(
    one: type[TieoutError], other: type[TieoutError], kind: type[TieoutError]
) -> None:
    joined = join({"a": one("A.", "left a.", "do a"), "b": other("B.", "left b.", "do b")})
    assert type(joined) is kind
    assert (joined.what, joined.left, joined.next) == ("a: A.\nb: B.", "a: left a. b: left b.", "do a; do b")
    assert not joined.is_partial
