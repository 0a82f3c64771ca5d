"""The JSON text of PostgreSQL's composites and arrays as SQL, put together level by level.

`to_json` of a whole value is wrong for what is inside: timestamps lack their Z, NaN and infinities become texts, binary
is hexadecimal. A type is written as `postgresql_types` tells it, so that every level is known when the SQL is made.
"""

import json

MOST_DIMENSIONS = 6  # that PostgreSQL's arrays have
_INFINITE = ("NaN", "Infinity", "-Infinity")
_QUOTED = frozenset({"timestamp without time zone", "timestamp with time zone", "date"})
_VERBATIM = frozenset({"json", "jsonb"})
_NUMBERS = frozenset({"real", "double precision", "numeric"})
_BARE = frozenset({"boolean", "smallint", "integer", "bigint", "oid"})


def fields(type_name: str) -> list[tuple[str, str]]:
    """Return the fields of `row("a" text, …)` in order: name and type. Raises `ValueError` for another text."""
    if not (type_name.startswith("row(") and type_name.endswith(")")):
        raise ValueError("not the type of a row")
    found: list[tuple[str, str]] = []
    for part in _parts(type_name[4:-1]):
        closing = part.index('"', 1)
        while part[closing + 1 : closing + 2] == '"':
            closing = part.index('"', closing + 2)
        found.append((part[1:closing].replace('""', '"'), part[closing + 2 :]))
    return found


def is_nested(type_name: str) -> bool:
    """Whether a type is a row, an array of rows, or an array of bytes, whose text only `json_text` gets right."""
    element = type_name.rstrip("[]")
    return element.startswith("row(") or (type_name != element and element == "bytea")


def json_text(x: str, type_name: str, depth: int = 0) -> str:
    """Return the expression of a value's JSON text, the text `null` where it is NULL, at any depth."""
    return f"coalesce({present(x, type_name, depth)}, 'null')"


def present(x: str, type_name: str, depth: int = 0) -> str:
    """Return the expression of a value's JSON text; NULL where it is NULL, NaN or infinite."""
    if type_name.endswith("[]"):
        return _array(x, type_name.removesuffix("[]"), depth)
    if type_name.startswith("row("):
        return _object(x, type_name, depth)
    return _scalar(x, type_name)


def _scalar(x: str, type_name: str) -> str:
    if type_name in _BARE or type_name in _VERBATIM:
        return f"({x})::text"
    if type_name in _NUMBERS:
        text = f"({x})::text"
        for infinite in _INFINITE:
            text = f"nullif({text}, '{infinite}')"
        return text
    if type_name in _QUOTED:
        return _moment(x, type_name)
    if type_name == "bytea":
        return f"""'"' || translate(encode({x}, 'base64'), E'\\n', '') || '"'"""
    return f"to_json({x})::text"


def _moment(x: str, type_name: str) -> str:
    if type_name == "date":
        return f"CASE WHEN isfinite({x}) THEN to_json({x})::text END"
    moment = f"({x} AT TIME ZONE 'UTC')" if type_name == "timestamp with time zone" else x
    return f"""CASE WHEN isfinite({x}) THEN rtrim(to_json({moment})::text, '"') || 'Z"' END"""


def _object(x: str, type_name: str, depth: int) -> str:
    """A row as an object; `x IS NULL` would also be true of a row whose fields are all null."""
    members = [
        f"{_literal(json.dumps(name, ensure_ascii=False) + ':')} || {json_text(f'({x}).{_quoted(name)}', type_, depth)}"
        for name, type_ in fields(type_name)
    ]
    inner = " || ',' || ".join(members) or "''"
    return f"CASE WHEN {x} IS DISTINCT FROM NULL THEN '{{' || {inner} || '}}' END"


def _array(x: str, element: str, depth: int) -> str:
    """An array of any number of dimensions: its elements in their order, with brackets where a dimension ends."""
    e, n = f"e{depth}", f"n{depth}"
    opening, closing = (
        " + ".join(
            f"CASE WHEN array_ndims({x}) >= {first} AND {at} % ({_size(x, first)}) = 0 THEN 1 ELSE 0 END"
            for first in range(1, MOST_DIMENSIONS + 1)
        )
        for at in (f"({n} - 1)", n)
    )
    text = json_text(e, element, depth + 1)
    return (
        f"CASE WHEN {x} IS NOT NULL THEN coalesce((SELECT string_agg(repeat('[', {opening}) || {text} || "
        f"repeat(']', {closing}), ',' ORDER BY {n}) FROM (SELECT {e}, row_number() OVER () AS {n} "
        f"FROM (SELECT unnest({x}) AS {e}) s{depth}) u{depth}), '[]') END"
    )


def _size(x: str, first: int) -> str:
    """How many elements the dimensions from `first` on hold."""
    return " * ".join(f"coalesce(array_length({x}, {at}), 1)" for at in range(first, MOST_DIMENSIONS + 1))


def _parts(text: str) -> list[str]:
    """Cut at the commas that are neither in quotes nor in brackets."""
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and not quoted and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
