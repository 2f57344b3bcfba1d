r"""The malformed rules as Spark SQL expressions.

They read the columns that `classify.parse` makes. Regular expressions end in `\z`: Java's `$` also matches before a
last line feed. In SQL text a backslash is written twice.
"""

from contracts.model import Contract, Field

ISO_8601 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})\\z"
MOST_DIGITS = 38  # that a decimal holds
FIRST_INSTANT = "timestamp'0001-01-01 00:00:00Z'"
LAST_INSTANT = "timestamp'9999-12-31 23:59:59.999999Z'"


def _times(text: str) -> str:
    """Return how often a text stands in the raw value: much cheaper than a regular expression."""
    return f"(octet_length(raw) - octet_length(replace(raw, '{text}', ''))) div {len(text)}"


# White space between a key and its colon begins behind a quote. Then, as for any quote before a blank, count slowly.
SPACED = " OR ".join(f"contains(raw, '\"{blank}')" for blank in (" ", r"\t", r"\r", r"\n"))
# A key followed by something that is neither text nor null. Quotes inside a text are escaped, so a text can add
# to the count but nothing can take away from it: more than amount and is_fraud explain means "look closer".
_TEXTS_AND_NULLS = " - ".join(_times(text) for text in ('":"', '": "', '":null', '": null'))
NON_TEXT_TOKENS = (
    f"CASE WHEN {SPACED} THEN size(regexp_extract_all(raw, "
    r"""'"\\s*:\\s*[^"n\\s]', 0))"""
    f""" ELSE {_times('":')} - {_TEXTS_AND_NULLS} END"""
)
# Never less than there are keys; NULL where that would have to be counted slowly, or names may be escaped.
KEYS = rf"""CASE WHEN {SPACED} OR contains(raw, '\\') THEN NULL ELSE {_times('":')} END"""
NUL_ESCAPES = r"contains(raw, '\\u0000')"

_NO_TEXT = "coalesce({}_type NOT IN ('STRING', 'VOID'), false)"
SUSPECT = (
    f"NOT usual AND whole IS NULL AND non_text_tokens > cast({_NO_TEXT.format('amount')} AS int) "
    f"+ cast({_NO_TEXT.format('is_fraud')} AS int)"
)
TYPED_FIELDS = (
    "CASE WHEN suspect THEN try_variant_get(try_parse_json(cast(raw_value AS string)), '$', 'map<string, variant>') END"
)

_IS_NO_INSTANT = f"coalesce(instant NOT BETWEEN {FIRST_INSTANT} AND {LAST_INSTANT}, true)"
_HIGH, _LOW = r"\\\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE_STARTS = r"(?<!\\\\)(?:\\\\\\\\)*"
LONE_SURROGATE = f"{_ESCAPE_STARTS}(?:{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW})"

UTC_OFFSET = (
    "CASE WHEN NOT endswith(timestamp, 'Z') THEN (CASE WHEN substr(timestamp, -6, 1) = '-' THEN -1 ELSE 1 END) * "
    "(60 * try_cast(substr(timestamp, -5, 2) AS int) + try_cast(substr(timestamp, -2, 2) AS int)) ELSE 0 END"
)


def usual_shape(contract: Contract) -> str:
    """Return the pattern of an event with just the contract's fields, each of its type, in order and without escapes.

    A quote or a backslash within a text would be escaped, so no text can pretend to be a field.
    """
    digits = contract.amount_integer_digits
    decimal = f"-?(?:0|[1-9][0-9]{{0,{digits - 1}}})(?:[.][0-9]{{1,{MOST_DIGITS - digits}}})?+"
    kinds = {"decimal": decimal, "boolean": "(?:true|false)"}
    kinds["timestamp"] = '"' + ISO_8601.removeprefix("^").removesuffix(r"\\z") + '"'
    fields = []
    for field in contract.fields:
        kind = kinds.get(field.type, r'"[^"\\\\\\x00-\\x1f]*+"')
        fields.append(f'"{field.name}": ?{kind if field.structural else f"(?:{kind}|null)"}')
    return "^[{]" + ", ?".join(fields) + r"[}]\\z"


def read_options(contract: Contract) -> str:
    """Return the options of from_json for a value wrapped into an array, which is one level more.

    The contract's limits of digits and keys are those that Spark's parser has anyway.
    """
    levels = contract.json_limits.nesting_levels + 1
    return f"map('allowSingleQuotes', 'false', 'allowNonNumericNumbers', 'false', 'maxNestingDepth', '{levels}')"


def whole_value(end: str, wrapped: str, contract: Contract) -> str:
    """Return the code of what is wrong with the value as a whole, NULL where it is one JSON object.

    Args:
        end: name of the sentinel's key.
        wrapped: the expression of the value wrapped into an array with the sentinel behind it.
        contract: the limits.
    """
    texts = f"from_json({wrapped}, 'array<string>', {read_options(contract)})"
    # Read into a struct, from_json goes on behind a character that it cannot read; read into texts, it does not.
    is_json = f"""coalesce(size({texts}) = 2 AND get({texts}, 1) = '{{"{end}":true}}', false)"""
    return f"""CASE
        WHEN value IS NULL THEN 'NULL_VALUE'
        WHEN raw IS NULL THEN 'VALUE_TOO_LARGE'
        WHEN NOT is_valid_utf8(raw) THEN 'INVALID_UTF8'
        WHEN size(parts) = 2 AND get(parts, 1).{end} AND event IS NOT NULL THEN CASE
            WHEN try_parse_json(raw) IS NOT NULL THEN NULL
            WHEN raw RLIKE '{LONE_SURROGATE}' OR NOT {is_json} THEN 'MALFORMED_JSON'
            ELSE 'DUPLICATE_KEY' END
        WHEN raw RLIKE '^[ \\\\t\\\\r\\\\n]*\\\\z' THEN 'EMPTY_VALUE'
        WHEN NOT raw RLIKE '^[ \\\\t\\\\r\\\\n]*[{{]' AND {is_json} THEN 'NOT_AN_OBJECT'
        ELSE 'MALFORMED_JSON' END"""


def unknown_fields(contract: Contract) -> str:
    """Return how many top-level fields the contract does not know.

    Keys that are known fields with a value, or known fields that are null, explain all keys of a normal event; only
    when some are left is the value read again. A count of 0 is exact: the count of keys can only be too high.
    """
    explained = [_explained(field) for field in contract.fields]
    names = ", ".join(f"'{field.name}'" for field in contract.fields)
    return (
        f"CASE WHEN key_count = {' + '.join(explained)} THEN 0 "
        f"ELSE size(array_except(json_object_keys(cast(raw_value AS string)), array({names}))) END"
    )


def _explained(field: Field) -> str:
    typed = field.type in {"decimal", "boolean"}
    has_value = f"{field.name}_type <> 'VOID'" if typed else f"{field.name} IS NOT NULL"
    null = " OR ".join(f"""contains(raw_value, cast('"{field.name}":{blank}null' AS binary))""" for blank in ("", " "))
    return f"CASE WHEN {has_value} THEN 1 WHEN {null} THEN 1 ELSE 0 END"


def field_rules(contract: Contract) -> list[str]:
    """Return, for each field, an expression that is NULL or its code; all codes of an event count."""
    special = {
        "decimal": _amount_rules,
        "boolean": _boolean_rules,
        "timestamp": _timestamp_rules,
        "string": _text_rules,
    }
    rules = [rule for field in contract.fields for rule in special[field.type](field, contract)]
    texts = ", ".join(field.name for field in contract.fields if field.type in {"string", "timestamp"})
    return [*rules, f"CASE WHEN has_nul_escape AND contains(concat_ws('', {texts}), char(0)) THEN 'NUL_CHARACTER' END"]


def usual_rules(contract: Contract) -> list[str]:
    """Return the rules that a usual event can still break: those that its shape does not answer."""
    rules = []
    for field in contract.fields:
        if field.type == "decimal":
            rules.append(_too_many_decimals(field))
        if field.type == "timestamp":
            rules.append(
                f"CASE WHEN {field.name} IS NOT NULL AND {_IS_NO_INSTANT} THEN '{field.name.upper()}_FORMAT' END"
            )
    return rules


def _not_text(field: Field) -> str:
    return f"suspect AND schema_of_variant(typed['{field.name}']) NOT IN ('STRING', 'VOID')"


def _missing(field: Field, is_absent: str) -> str:
    return f"WHEN {is_absent} THEN " + (f"'{field.name.upper()}_MISSING'" if field.structural else "NULL")


def _text_rules(field: Field, _: Contract) -> list[str]:
    return [
        f"CASE {_missing(field, f'{field.name} IS NULL')} WHEN {_not_text(field)} THEN '{field.name.upper()}_TYPE' END"
    ]


def _timestamp_rules(field: Field, _: Contract) -> list[str]:
    name, code = field.name, field.name.upper()
    return [
        f"CASE {_missing(field, f'{name} IS NULL')} WHEN {_not_text(field)} THEN '{code}_TYPE' "
        f"WHEN NOT coalesce({name} RLIKE '{ISO_8601}', false) OR {_IS_NO_INSTANT} THEN '{code}_FORMAT' END"
    ]


def _boolean_rules(field: Field, _: Contract) -> list[str]:
    kind = f"{field.name}_type"
    absent = f"{kind} IS NULL OR {kind} = 'VOID'"
    return [f"CASE {_missing(field, absent)} WHEN {kind} <> 'BOOLEAN' THEN '{field.name.upper()}_TYPE' END"]


def _amount_rules(field: Field, contract: Contract) -> list[str]:
    text, kind, code = f"{field.name}_text", f"{field.name}_type", field.name.upper()
    exact = f"({kind} = 'BIGINT' OR {kind} LIKE 'DECIMAL%')"
    absent = f"{kind} IS NULL OR {kind} = 'VOID'"
    return [
        f"CASE {_missing(field, absent)} WHEN {kind} IN ('DOUBLE', 'FLOAT') "
        f"THEN '{code}_INEXACT' WHEN NOT {exact} THEN '{code}_TYPE' END",
        f"CASE WHEN {exact} AND length(substring_index({text}, '.', 1)) - cast(startswith({text}, '-') AS int) "
        f"> {contract.amount_integer_digits} THEN '{code}_OVERFLOW' END",
        f"CASE WHEN {exact} THEN {_too_many_decimals(field)} END",
    ]


def _too_many_decimals(field: Field) -> str:
    text = f"{field.name}_text"
    return (
        f"CASE WHEN contains({text}, '.') AND length(substring_index({text}, '.', -1)) > minor_digits "
        f"THEN '{field.name.upper()}_SCALE' END"
    )
