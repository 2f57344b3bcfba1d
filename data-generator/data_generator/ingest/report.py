"""What a person reads at the end of an ingest."""

from collections.abc import Iterator, Sequence

from core.text import shown
from data_generator.ingest.check_pass import Checked, Part
from data_generator.ingest.refused import RefusedFile
from data_generator.ingest.run import DRY_RUN, Report

_WIDTH = 10


def as_text(report: Report) -> str:
    """Return the report as lines."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield _line("file", shown(report.source.name))
    yield _line("mapping", f"{report.mapping.name}, contract {report.mapping.entity.version}")
    if report.run:
        yield _line("feed", report.run)
    if report.known is not None:
        known = report.known
        when = f"{known.ended_at:%Y-%m-%d %H:%M:%S} UTC" if known.ended_at else "before"
        yield _line("rows", f"{known.total['rows']['count']:,}")
        yield _line("outcome", f"already sent, as {shown(known.name)}, {when}: nothing was sent")
        return
    if report.checked is not None:
        yield from _sums(report.checked, is_dry=report.outcome == DRY_RUN)
    yield _line("outcome", report.outcome)
    if report.sent.continued:
        yield _line("continued", f"{report.sent.continued:,} of these rows were sent by an earlier run")
    rows = report.checked.sums.rows if report.checked else 0
    yield _line("took", f"{report.seconds:.1f} s, {rows / max(report.seconds, 0.001):,.0f} rows a second")


def _sums(checked: Checked, *, is_dry: bool) -> Iterator[str]:
    sums = checked.sums
    yield _line("sha256", checked.sha256)
    blank = f", and {checked.blank} blank" if checked.blank else ""
    yield _line("rows", f"{sums.rows:,}{blank}")
    yield from _part("to send" if is_dry else "sent", sums.sent)
    if sums.refused.rows:
        yield from _part("refused", sums.refused)
        for code, count in sorted(sums.reasons.items()):
            yield _line("", f"{count:,} {code}")
        for each in sums.first[:3]:
            yield _line("", each)
    if sums.left_out.rows:
        yield from _part("left out", sums.left_out)


def _part(name: str, part: Part) -> Iterator[str]:
    yield _line(name, f"{part.rows:,}")
    for currency, money in part.amounts.items():
        yield _line("", f"{money.count:,} with {money.amount:,f} {currency}")


def _line(name: str, text: str) -> str:
    return f"{name:{_WIDTH}} {text}"


def refused_as_text(files: Sequence[RefusedFile]) -> str:
    """Return the files with refused rows as lines."""
    return "\n".join(line for each in files for line in _refused(each)) if files else "no row of a file is refused."


def _refused(file: RefusedFile) -> Iterator[str]:
    yield _line("feed", file.run)
    yield _line("file", shown(file.name))
    for state, (rows, money) in sorted(file.states.items()):
        sums = "".join(f", {each.count:,} with {each.amount:,f} {currency}" for currency, each in money.items())
        yield _line("", f"{rows:,} {state}{sums}")
    for reason, count in file.reasons.items():
        yield _line("", f"{count:,} {reason}")
