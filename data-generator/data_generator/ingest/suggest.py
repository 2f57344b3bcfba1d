"""A mapping to start from: guessed from a file's first rows. Nothing is read by a guess: a person confirms it first."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import pyarrow.parquet as pq

from contracts.entities import load_entity
from contracts.model import Entity
from core.text import shown
from data_generator.ingest.amounts import AmountForm, AmountReader
from data_generator.ingest.errors import SourceError
from data_generator.ingest.lines import Lines
from data_generator.ingest.source import Source
from data_generator.ingest.times import TimeForm, TimeReader

SAMPLE: Final = 1_000
_DELIMITERS: Final = (",", ";", "\t", "|")
# Words that name a field in other people's headers, the likeliest first.
_WORDS: Final = {
    "transaction_id": ("transaction_id", "balance_transaction_id", "txn_id", "trans_num", "payment_id", "charge_id",
                       "reference", "id"),
    "customer_id": ("customer_id", "client_id", "user_id", "account_id", "customer", "payer", "card_id"),
    "customer_name": ("customer_name", "name", "payer_name"),
    "customer_email": ("customer_email", "email"),
    "merchant_name": ("merchant_name", "merchant", "merchant_id", "payee", "shop", "store", "description"),
    "merchant_category": ("merchant_category", "category", "mcc", "type"),
    "amount": ("amount", "amt", "gross", "value", "total", "sum", "betrag"),
    "currency": ("currency", "ccy", "curr", "currency_code"),
    "payment_method": ("payment_method", "method", "channel", "use_chip"),
    "status": ("status", "state_of_payment", "result"),
    "failure_reason": ("failure_reason", "errors", "error", "decline_reason"),
    "timestamp": ("timestamp", "created_utc", "date_time", "datetime", "created", "created_at", "time", "date",
                  "trans_date_trans_time", "booked_at"),
    "city": ("city", "merchant_city"),
    "state": ("state", "region"),
    "country": ("country", "country_code"),
    "device_type": ("device_type", "device"),
    "ip_address": ("ip_address", "ip"),
    "is_fraud": ("is_fraud", "fraud", "label"),
}  # fmt: skip
_TIMES: Final = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%Y%m%d",
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y", "iso",
    "unix", "unix ms",
)  # fmt: skip
# By these a column is known for times, whatever it is called: a number can be anything.
_DATES: Final = tuple(form for form in _TIMES if form not in {"%Y%m%d", "unix", "unix ms"})
_AMOUNTS: Final[tuple[dict[str, Any], ...]] = (
    {}, {"group": ","}, {"decimal": ","}, {"decimal": ",", "group": "."}, {"decimal": ",", "group": " "},
    {"group": "'"}, {"negative": "parentheses"}, {"negative": "parentheses", "group": ","},
)  # fmt: skip
_SYMBOLS: Final = {"$": "USD", "€": "EUR", "£": "GBP", "₹": "INR", "¥": "JPY"}
_FALSE_TRUE: Final = ({"0", "1"}, {"0.0", "1.0"}, {"no", "yes"}, {"No", "Yes"}, {"N", "Y"})


def suggest(source: Source, entity_name: str = "transactions") -> str:
    """Return the YAML of a mapping for a file; what cannot be guessed is a comment.

    Raises:
        SourceError: the file cannot be read, or has no rows.
    """
    entity = load_entity(entity_name)
    keys, columns, rows = _sample(source)
    if not rows:
        raise SourceError(source.name, "it holds no rows to guess from", "name a file with some rows")
    by_name = {name: [row[place] for row in rows if row[place]] for place, name in enumerate(columns)}
    lines = [
        f"# Guessed from the first {len(rows)} rows of {shown(source.path.name)}.",
        "# Look at every line, above all at those with CHECK. What they say is read strictly; nothing is guessed then.",
        "# Next: ./scripts/tieout ingest FILE --as THIS_FILE --dry-run",
        f"about: Files such as {_quoted(shown(source.path.name))}.",
        *keys,
        "fields:",
    ]
    for field in entity.fields:
        lines += [f"  {each}" for each in _field(field.name, by_name, entity)]
    used = {_column_of(field.name, by_name, entity) for field in entity.fields}
    # Their names only: a value may be a card number.
    if unused := [shown(name) for name in by_name if name not in used]:
        lines.append(f"# Not used: {', '.join(unused)}")
    return "\n".join(lines) + "\n"


def _sample(source: Source) -> tuple[list[str], list[str], list[list[str]]]:
    """Return the keys of the format, the columns, and some rows."""
    with source.open() as stream:
        begin = stream.peek(64)[:64]
        if begin.startswith(b"PAR1"):
            return _parquet_sample(source)
        lines = Lines(source, stream, _encoding(stream.peek(1 << 16)))
        try:
            texts = list(islice((line for line in lines if line.strip()), SAMPLE))
        finally:
            lines.close()
    if texts and texts[0].lstrip().startswith("{"):
        return _json_sample(texts)
    delimiter, quote = _dialect(texts)
    rows = [row for row in csv.reader(texts, delimiter=delimiter, quotechar=quote) if row]
    header = [cell.strip() for cell in rows[0]] if rows else []
    stated = {"delimiter": delimiter, "quote": quote, "encoding": lines.encoding}
    usual = {"delimiter": ",", "quote": '"', "encoding": "utf-8"}
    other = ", ".join(f"{key}: {_quoted(value)}" for key, value in stated.items() if value != usual[key])
    same = [row for row in rows[1:] if len(row) == len(header)]
    return ([f"csv: {{{other}}}"] if other else []), header, same


def _parquet_sample(source: Source) -> tuple[list[str], list[str], list[list[str]]]:
    with pq.ParquetFile(source.path) as file:
        batch = next(file.iter_batches(batch_size=SAMPLE), None)
    names = list(batch.schema.names) if batch else []
    values = [["" if value is None else str(value) for value in column.to_pylist()] for column in batch or ()]
    return ["format: parquet"], names, [list(row) for row in zip(*values, strict=True)]


def _json_sample(texts: Sequence[str]) -> tuple[list[str], list[str], list[list[str]]]:
    held = []
    for text in texts:
        try:
            each = json.loads(text, parse_float=str, parse_int=str)
        except ValueError:
            continue
        if isinstance(each, dict):
            held.append(each)
    names = list(dict.fromkeys(name for each in held for name in each))
    rows = [[str(each.get(name) if each.get(name) is not None else "") for name in names] for each in held]
    return ["format: json-lines"], names, rows


def _encoding(begin: bytes) -> str:
    even, odd = begin[0::2].count(0), begin[1::2].count(0)
    if max(even, odd) * 4 > len(begin) > 0:
        return "utf-16-be" if even > odd else "utf-16-le"
    try:
        begin[:-4].decode()  # the end may be in the middle of a letter
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _dialect(texts: Sequence[str]) -> tuple[str, str]:
    """Return delimiter and quote: those by which most rows have as many values as the first, and the most of them."""
    best, found = (0, 0), (",", '"')
    for quote in ('"', "'"):
        for delimiter in _DELIMITERS:
            try:
                widths = [len(row) for row in csv.reader(texts, delimiter=delimiter, quotechar=quote)]
            except csv.Error:
                continue
            width = widths[0] if widths else 0
            # A quote that is none leaves its signs in the values.
            kept = sum(f"{delimiter}'" in text for text in texts) if quote == '"' else 0
            score = (sum(each == width for each in widths) * width - kept, width)
            if width > 1 and score > best:
                best, found = score, (delimiter, quote)
    return found


def _field(name: str, columns: dict[str, list[str]], entity: Entity) -> Iterator[str]:
    column = _column_of(name, columns, entity)
    field = entity.field(name)
    if name == entity.currency and column is None:
        code = next((_SYMBOLS[sign] for sign in _SYMBOLS if any(sign in v for v in _amount_values(columns))), "USD")
        yield f"{name}: {{constant: {code}}}  # CHECK: the file names none"
    elif column is None and name == entity.key:
        listed = ", ".join(_quoted(each) for each in list(columns)[:6])
        yield f"{name}: {{hash_of: [{listed}]}}  # CHECK: no ids; which columns tell one row from another?"
    elif column is None and name == entity.statuses.field and (errors := _named("failure_reason", columns)):
        expression = f'"FAILED" if col({json.dumps(errors)}) else "SUCCESS"'
        yield f"{name}: {{expression: {json.dumps(expression)}}}  # CHECK: does an error mean a failed payment?"
    elif column is None and field.enum:
        success = "SUCCESS" if "SUCCESS" in field.enum else field.enum[0]
        yield f"{name}: {{constant: {success}}}  # CHECK: the file does not say"
    elif column is None:
        needed = "CHECK: every event needs it; " if field.structural else ""
        yield f"# {name}: {{column: ...}}  # {needed}no column of that name"
    elif field.type == "decimal":
        yield _amount(name, column, columns[column])
    elif field.type == "timestamp":
        yield _time(name, column, columns[column])
    elif field.type == "boolean":
        words = next((each for each in _FALSE_TRUE if set(columns[column]) <= each), None)
        no, yes = sorted(words, key=str.lower) if words else ("...", "...")
        check = "" if words else "  # CHECK: the file's words"
        yield f"{name}: {{column: {_quoted(column)}, map: {{{_quoted(no)}: false, {_quoted(yes)}: true}}}}{check}"
    elif field.enum and not set(columns[column]) <= set(field.enum):
        words_of_file = sorted(set(columns[column]))[:12]
        mapped = ", ".join(f"{_quoted(word)}: {_nearest(word, field.enum)}" for word in words_of_file)
        yield f"{name}: {{column: {_quoted(column)}, map: {{{mapped}}}}}  # CHECK: what each word means"
    else:
        yield f"{name}: {{column: {_quoted(column)}}}"


def _named(name: str, columns: dict[str, list[str]]) -> str | None:
    plain = {_plain(column): column for column in reversed(list(columns))}
    return next((plain[_plain(word)] for word in _WORDS.get(name, (name,)) if _plain(word) in plain), None)


def _column_of(name: str, columns: dict[str, list[str]], entity: Entity) -> str | None:
    """Return the column of a field: by its name; of time, currency and id else by its values."""
    if (named := _named(name, columns)) is not None:
        return named
    others = {_named(each.name, columns) for each in entity.fields}
    free = {column: values for column, values in columns.items() if column not in others and values}
    if name == entity.event_time:
        return next((column for column, values in free.items() if _time_forms(values, _DATES)), None)
    if name == entity.currency:
        return next((column for column, values in free.items() if set(values) <= set(entity.currencies)), None)
    if name == entity.key and (first := next(iter(free), None)) == next(iter(columns), None) and first is not None:
        values = free[first]
        return first if len(set(values)) == len(values) > 1 and not _time_forms(values, _DATES) else None
    return None


def _time_forms(values: list[str], forms: Sequence[str]) -> list[str]:
    return [form for form in forms if _all_read(values, _time_reader(form))]


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _amount_values(columns: dict[str, list[str]]) -> list[str]:
    return columns.get(_named("amount", columns) or "", [])


def _amount(name: str, column: str, values: list[str]) -> str:
    symbols = sorted({sign for sign in _SYMBOLS if any(sign in value for value in values)})
    for form in _AMOUNTS:
        stated = {**form, **({"symbols": symbols} if symbols else {})}
        if _all_read(values, partial(AmountReader(AmountForm(**stated)).read, digits=4)):
            unsure = "  # CHECK: minor_units: true, if these are cents" if all(v.isdigit() for v in values) else ""
            written = f", written: {json.dumps(stated, ensure_ascii=False)}" if stated else ""
            return f"{name}: {{column: {_quoted(column)}{written}}}{unsure}"
    return f"{name}: {{column: {_quoted(column)}}}  # CHECK: its amounts have no form that is known here"


def _time(name: str, column: str, values: list[str]) -> str:
    fits = _time_forms(values, _TIMES)
    if not fits:
        return f"{name}: {{column: {_quoted(column)}, written: {{format: '...', zone: UTC}}}}  # CHECK: the format"
    stated = {"format": fits[0]} | ({} if fits[0].startswith("unix") else {"zone": "UTC"})
    also = f"; {fits[1]} fits too" if len(fits) > 1 and "/" in fits[0] else ""
    return f"{name}: {{column: {_quoted(column)}, written: {json.dumps(stated)}}}  # CHECK: the zone{also}"


def _time_reader(form: str) -> Callable[[str], str]:
    return TimeReader(TimeForm(format=form, zone="" if form.startswith("unix") else "UTC")).read


def _all_read(values: list[str], read: Callable[[str], str]) -> bool:
    try:
        for value in values:
            read(value)
    except ValueError:
        return False
    return bool(values)


def _nearest(word: str, enum: Sequence[str]) -> str:
    plain = _plain(word)
    near = [each for each in enum if _plain(each) in plain or plain in _plain(each)]
    if not near and any(part in plain for part in ("ok", "paid", "complet", "succe", "settled", "captured")):
        near = [each for each in enum if each == "SUCCESS"]
    if not near and any(part in plain for part in ("fail", "declin", "reject", "error", "cancel")):
        near = [each for each in enum if each == "FAILED"]
    return _quoted(near[0] if near else enum[0])


def _quoted(text: str) -> str:
    """Return a text as YAML takes it for one."""
    is_plain = text.replace("_", "").isalnum() and text.isascii() and not text[0].isdigit()
    if is_plain and text.lower() not in {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}:
        return text
    return json.dumps(text, ensure_ascii=False)
