"""The JSON text of a DuckDB value as SQL, put together by concatenation, level by level.

`to_json` of a whole value is wrong for floats (0.1::FLOAT → 0.10000000149011612), timestamps, NaN, binary and numbers
inside JSON (it parses anew: 1.10 → 1.1); it is used for strings only.
"""

import json
from collections.abc import Callable

from projects.warehouses.duckdb_types import (
    FLOATS,
    INTEGERS,
    TIMESTAMPS,
    WIDE_INTEGERS,
    ZONED,
    Type,
)

# Dates outside the years 1 to 9999 are written with the six-digit years that ECMAScript reads; infinities are null.
_YEAR = "CASE WHEN year({x}) < 0 THEN '-' ELSE '+' END || lpad(abs(year({x}))::VARCHAR, 6, '0')"
_COMMON_ERA = "year({x}) BETWEEN 1 AND 9999"
_TIMESTAMP = (
    f"CASE WHEN {_COMMON_ERA} THEN '\"' || replace({{x}}::VARCHAR, ' ', 'T') || 'Z\"' "
    f"WHEN isfinite({{x}}) THEN '\"' || {_YEAR} || strftime({{x}}, '-%m-%dT%H:%M:%S') "
    "|| rtrim(rtrim(strftime({x}, '.%f'), '0'), '.') || 'Z\"' END"
)
_DATE = (
    f"CASE WHEN {_COMMON_ERA} THEN '\"' || {{x}}::VARCHAR || '\"' "
    f"WHEN isfinite({{x}}) THEN '\"' || {_YEAR} || strftime({{x}}, '-%m-%d') || '\"' END"
)
# What DuckDB takes for JSON and nobody else does: NaN, infinities and commas before a closing bracket. Text in quotes
# stays as it is; everything else of such a document is put right, and every other document stays verbatim.
_LENIENT = r"(?i)nan|inf|,\s*[\]}]"
_PIECES = r'"(?:[^"\\]|\\.)*"|[^"]+'


def json_text(expression: str, type_: Type, *, depth: int = 0) -> str:
    """Return the expression of a value's JSON text, the text `null` where it is NULL, at any depth."""
    return f"coalesce({_present(expression, type_, depth)}, 'null')"


def strict_json(expression: str) -> str:
    """Return the expression of stored JSON as everyone reads it: verbatim unless DuckDB alone accepts it."""
    text = f"CAST({expression} AS VARCHAR)"
    numbers = r"regexp_replace(piece, '(?i)-?(nan|infinity|inf)', 'null', 'g')"
    repaired = rf"regexp_replace({numbers}, ',\s*([\]}}])', '\1', 'g')"
    pieces = (
        f"list_transform(regexp_extract_all({text}, '{_PIECES}'), "
        f"lambda piece: CASE WHEN piece[1] = '\"' THEN piece ELSE {repaired} END)"
    )
    return f"CASE WHEN regexp_matches({text}, '{_LENIENT}') THEN array_to_string({pieces}, '') ELSE {text} END"


def decimal_text(expression: str, type_: Type) -> str:
    """Return the expression of a DECIMAL as a JSON number with all its digits."""
    text = f"CAST({expression} AS VARCHAR)"
    return rf"regexp_replace({text}, '^(-?)\.', '\10.')" if type_.point_first else text


def in_utc(expression: str, type_: Type) -> str:
    """Return the expression of a timestamp without its zone, in UTC."""
    if type_.name not in ZONED:
        return expression
    return f"CAST({expression} AS {'TIMESTAMP_NS' if type_.name == 'TIMESTAMPTZ_NS' else 'TIMESTAMP'})"


def _present(x: str, type_: Type, depth: int) -> str:
    """The expression of the JSON text of a value; NULL where it is NULL, NaN or infinite."""
    scalar = _SCALARS.get(type_.name)
    if scalar is not None:
        return scalar(x, type_)
    return _nested(x, type_, depth) or f"CAST(to_json(CAST({x} AS VARCHAR)) AS VARCHAR)"


_SCALARS: dict[str, Callable[[str, Type], str]] = {
    **dict.fromkeys(INTEGERS | WIDE_INTEGERS | {"BOOLEAN"}, lambda x, _: f"CAST({x} AS VARCHAR)"),
    **dict.fromkeys(FLOATS, lambda x, _: f"CASE WHEN isfinite({x}) THEN CAST({x} AS VARCHAR) END"),
    **dict.fromkeys(TIMESTAMPS, lambda x, type_: _TIMESTAMP.format(x=in_utc(x, type_))),
    "DATE": lambda x, _: _DATE.format(x=x),
    "DECIMAL": decimal_text,
    "BLOB": lambda x, _: f"'\"' || base64({x}) || '\"'",
    "JSON": lambda x, _: strict_json(x),
    "VARIANT": lambda x, _: strict_json(f"CAST({x} AS JSON)"),
}


def _nested(x: str, type_: Type, depth: int) -> str | None:
    if type_.name in {"LIST", "ARRAY"}:
        items = _joined(x, f"x{depth}", json_text(f"x{depth}", type_.element, depth=depth + 1))
        return f"'[' || {items} || ']'"
    if type_.name == "MAP":
        (_, key), (_, value) = type_.fields
        item, inner = f"x{depth}", depth + 1
        pair = f"{_key(f'{item}.key', key, inner)} || ':' || {json_text(f'{item}.value', value, depth=inner)}"
        return f"'{{' || {_joined(f'map_entries({x})', item, pair)} || '}}'"
    if type_.name in {"STRUCT", "TUPLE"}:
        return _object(x, type_, depth)
    if type_.name == "UNION":
        cases = " ".join(
            f"WHEN {literal(tag)} THEN {json_text(f'union_extract({x}, {literal(tag)})', member, depth=depth)}"
            for tag, member in type_.fields
        )
        return f"CASE union_tag({x}) {cases} END"
    return None


def _object(x: str, type_: Type, depth: int) -> str:
    """A struct as an object, one whose fields have no names as an array."""
    named = type_.name == "STRUCT"
    parts = []
    for position, (field, member) in enumerate(type_.fields, start=1):
        name = literal(json.dumps(field, ensure_ascii=False) + ":") + " || " if named else ""
        parts.append(name + json_text(f"struct_extract_at({x}, {position})", member, depth=depth))
    opening, closing = ("{", "}") if named else ("[", "]")
    text = f"'{opening}' || {' || chr(44) || '.join(parts)} || '{closing}'"
    return f"CASE WHEN {x} IS NOT NULL THEN {text} END"


def _key(x: str, type_: Type, depth: int) -> str:
    """A map's key as a JSON string: the text of the value, whatever its type."""
    if type_.name in TIMESTAMPS or type_.name == "DATE":
        return f"coalesce({_present(x, type_, depth)}, '\"' || CAST({x} AS VARCHAR) || '\"')"
    text = json_text(x, type_, depth=depth) if type_.fields else f"CAST({x} AS VARCHAR)"
    return f"CAST(to_json({text}) AS VARCHAR)"


def _joined(items: str, name: str, text: str) -> str:
    return f"array_to_string(list_transform({items}, lambda {name}: {text}), ',')"


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
