"""The SQL of PostgreSQL: identifiers, ids as text, the row hash, and how every column type is read for encoding.

Every value is cast here, in SQL, because the driver hands out some types as opaque bytes or numbers that mean something
else: numeric as an opaque string, 'infinity' as the year -28134, domains and enums by their own names.

A column's type is what `PostgreSQLWarehouse.describe` tells: `format_type` of the type below all domains, and composite
types and arrays as `postgresql_types` writes them.
"""

import re
from collections.abc import Sequence

from projects.warehouses.port import Column, Kind, Relation, Value, own_table
from projects.warehouses.postgresql_json import is_nested, present

SCHEMA = "_rudderstack"

_MODIFIER = re.compile(r"\([0-9, ]*\)")
_BLANKS = r"E' \t\n\r\f\013'"
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_BASE64 = r"translate(encode({x}, 'base64'), E'\n', '')"
_UNREAL = '"(NaN|-?Infinity)"'

_Read = tuple[str, Kind]
_TIMESTAMP: _Read = ("CASE WHEN isfinite({x}) THEN {x}::timestamp END", Kind.TIMESTAMP)
_ZONED: _Read = ("CASE WHEN isfinite({x}) THEN {x}::timestamptz END", Kind.TIMESTAMP)
_SCALARS: dict[str, _Read] = {
    "boolean": ("{x}::bool", Kind.BOOLEAN),
    "smallint": ("{x}::int2", Kind.INTEGER),
    "integer": ("{x}::int4", Kind.INTEGER),
    "bigint": ("{x}::int8", Kind.INTEGER),
    "oid": ("{x}::int8", Kind.INTEGER),
    "real": ("{x}::float4", Kind.FLOAT),
    "double precision": ("{x}::float8", Kind.FLOAT),
    "numeric": ("nullif(nullif(nullif({x}::text, 'NaN'), 'Infinity'), '-Infinity')", Kind.NUMBER),
    "timestamp without time zone": _TIMESTAMP,
    "timestamp with time zone": _ZONED,
    "date": ("CASE WHEN isfinite({x}) THEN {x}::date END", Kind.DATE),
    "bytea": ("{x}::bytea", Kind.BINARY),
    "json": ("{x}::text", Kind.JSON),
    "jsonb": ("{x}::text", Kind.JSON),
}
# A cast of inet to text adds the /32 that PostgreSQL itself does not show.
_TEXTS = {"inet": "abbrev({x})"}
_FINITE_NUMBERS = f"regexp_replace(to_json({{x}})::text, '{_UNREAL}', 'null', 'g')"
_FINITE_TIMES = "regexp_replace(to_json({x})::text, '\"-?infinity\"', 'null', 'g')"
_TIMES_WITH_Z = f"regexp_replace({_FINITE_TIMES}, '([0-9])(\\+00:00)?\"', '\\1Z\"', 'g')"
_ARRAYS: dict[str, str] = {
    "real": _FINITE_NUMBERS,
    "double precision": _FINITE_NUMBERS,
    "numeric": _FINITE_NUMBERS,
    "timestamp without time zone": _TIMES_WITH_Z,
    "timestamp with time zone": _TIMES_WITH_Z,
    "date": _FINITE_TIMES,
}


class PostgreSQLDialect:
    """Builds PostgreSQL's expressions from catalogue names and fixed text (`port.Dialect`)."""

    encodes = False

    def quote(self, name: str) -> str:
        """Quote an identifier."""
        return quote(name)

    def relation(self, relation: Relation) -> str:
        """Reference a view or table of the customer's."""
        return f"{quote(relation.schema)}.{quote(relation.name)}"

    def snapshot(self, name: str) -> str:
        """Reference a table of ours."""
        return f"{quote(SCHEMA)}.{quote(own_table(name))}"

    def id_text(self, column: Column) -> str:
        """Cast to text, compared bytewise from there on: grouping, joining and sorting ask no locale."""
        text = _TEXTS.get(_plain(column), "{x}::text").replace("{x}", quote(column.name))
        return f'({text} COLLATE "C")'

    def normalise(self, expression: str, step: str) -> str:
        """Trim or lower-case an id's text, ASCII only."""
        if step == "trim":
            return f"btrim({expression}, {_BLANKS})"
        if step == "lower":
            return f"translate({expression}, '{_UPPER}', '{_LOWER}')"
        raise ValueError(f"an id cannot be normalised by {step!r}")

    def value(self, column: Column) -> Value:
        """Say how a column is read: its own kind, arrays and composites as JSON, anything else as its own text."""
        expression, kind = _read(_plain(column))
        return Value(column.name, expression.replace("{x}", quote(column.name)), kind)

    def row_hash(self, columns: Sequence[Column]) -> str:
        """Take the first half of a SHA-256 (MD5 is refused in FIPS mode) of the row's own text, which quotes values."""
        row = f"ROW({', '.join(quote(column.name) for column in columns)})::text"
        return f"left(encode(sha256(convert_to({row}, 'UTF8')), 'hex'), 32)"

    def bucket(self, expression: str, buckets: int) -> str:
        """Spread by PostgreSQL's own 64-bit hash."""
        return f"((hashtextextended({expression}, 0) & 9223372036854775807) % {buckets:d})"

    def registry_complete(self, metadata: str) -> str:
        """Look for the status 2, compared as text: an entry of another shape is merely not complete."""
        return f"((({metadata})::text::jsonb #>> '{{complete,status}}') = '2')"


def quote(name: str) -> str:
    """Quote an identifier."""
    if "\0" in name or not name:
        raise ValueError("not the name of anything in PostgreSQL")
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _read(type_name: str) -> _Read:
    if is_nested(type_name):
        return present("{x}", type_name), Kind.JSON
    if type_name.endswith("[]"):
        return _ARRAYS.get(type_name[:-2], "to_json({x})::text"), Kind.JSON
    if type_name.rpartition(".")[2] == "hstore":
        return "to_json({x})::text", Kind.JSON
    return _SCALARS.get(type_name, (_TEXTS.get(type_name, "{x}::text"), Kind.TEXT))


def _plain(column: Column) -> str:
    """The type's name without its length or precision; nested types are told without any."""
    return column.type if is_nested(column.type) else _MODIFIER.sub("", column.type)
