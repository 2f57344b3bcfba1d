"""What a message's headers say. A header that cannot be read is NULL, never an error: it is not part of the event."""

from spark_streaming.rules import FIRST_INSTANT, ISO_8601, LAST_INSTANT

LONGEST = 200


def header_columns() -> list[str]:
    """Return the columns run, seq, status_at, contract_version and redrive_of.

    Of headers with the same name the first counts.
    """
    seq, status_at = _text("seq"), _text("status_at")
    instant = f"try_cast({status_at} AS timestamp)"
    return [
        f"{_text('run')} AS run",
        f"CASE WHEN {seq} RLIKE '^[0-9]{{1,18}}\\\\z' THEN try_cast({seq} AS bigint) END AS seq",
        f"CASE WHEN {status_at} RLIKE '{ISO_8601}' AND {instant} BETWEEN {FIRST_INSTANT} AND {LAST_INSTANT} "
        f"THEN {instant} END AS status_at",
        f"{_text('contract')} AS contract_version",
        f"{_text('redrive-of')} AS redrive_of",
    ]


def _text(name: str) -> str:
    """Return the header's text; NULL where it is absent, no UTF-8, too long or holds U+0000."""
    value = f"get(headers.value, cast(array_position(headers.key, '{name}') AS int) - 1)"
    text = f"cast({value} AS string)"
    return (
        f"CASE WHEN octet_length({value}) <= {LONGEST} AND is_valid_utf8({text}) AND NOT contains({text}, char(0)) "
        f"THEN {text} END"
    )
