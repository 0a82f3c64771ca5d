"""DuckDB's SQL: names, ids, values, hashes. Builds text from catalogue names, which it quotes, and fixed parts only."""

from collections.abc import Sequence

from projects.warehouses.duckdb_json import decimal_text, in_utc, json_text, strict_json
from projects.warehouses.duckdb_types import (
    FLOATS,
    INTEGERS,
    NESTED,
    TIMESTAMPS,
    WIDE_INTEGERS,
    Type,
    parse,
)
from projects.warehouses.port import BLANKS, Column, Kind, Relation, Value, own_table

_NUMBERS = INTEGERS | FLOATS | TIMESTAMPS | {"DATE", "BOOLEAN"}
_DIGITS_IN_64_BITS = 18
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class DuckDBDialect:
    """The SQL of one DuckDB file, attached under the name `catalog`. See `projects.warehouses.port.Dialect`."""

    encodes = True

    def __init__(self, catalog: str) -> None:
        self.catalog = catalog

    def quote(self, name: str) -> str:
        """Quote an identifier."""
        return '"' + name.replace('"', '""') + '"'

    def relation(self, relation: Relation) -> str:
        """Reference a view or table of the customer's file."""
        return f"{self.quote(self.catalog)}.{self.quote(relation.schema)}.{self.quote(relation.name)}"

    def snapshot(self, name: str) -> str:
        """Reference a table of ours: the only table of a file of its own."""
        return f"{self.quote(own_table(name))}.main.data"

    def id_text(self, column: Column) -> str:
        """Expression: the column as text, compared bytewise whatever collation the column has."""
        return f'(CAST({self.quote(column.name)} AS VARCHAR) COLLATE "binary")'

    def normalise(self, expression: str, step: str) -> str:
        """Expression: the text after `trim` or `lower`, ASCII only."""
        if step == "trim":
            blanks = " || ".join(f"chr({ord(blank)})" for blank in BLANKS)
            return f"trim({expression}, {blanks})"
        if step == "lower":
            return f"translate({expression}, '{CAPITALS}', '{CAPITALS.lower()}')"
        raise ValueError(f"an id cannot be normalised by {step!r}")

    def value(self, column: Column) -> Value:
        """Say how the column is read for encoding."""
        name, type_ = self.quote(column.name), _parsed(column)
        expression, kind = _read(name, type_)
        return Value(column.name, expression, kind)

    def row_hash(self, columns: Sequence[Column]) -> str:
        """Expression: the MD5 of the texts and two of DuckDB's 64-bit hashes of all else, in one (docs/adr/0012).

        DuckDB's next version may hash otherwise; then every row counts as changed once.
        """
        types = f"'{', '.join(column.type for column in columns).replace(chr(39), chr(39) * 2)}'"
        texts, numbers, nulls = [], [types], []
        for column in columns:
            name, type_ = self.quote(column.name), _parsed(column)
            if _is_number(type_):
                numbers += [name, f"signbit({name})"] if type_.name in FLOATS else [name]
            else:
                texts.append(_text(name, type_))
                numbers.append(f"strlen({texts[-1]})")
            nulls.append(f"{name} IS NULL")
        first, second = (f"hash({', '.join(read)})::UHUGEINT" for read in (numbers, [*nulls, *reversed(numbers)]))
        halves = f"(({first} << 64) | {second})"
        return f"xor({halves}, md5_number(concat({', '.join(texts)})))" if texts else halves

    def bucket(self, expression: str, buckets: int) -> str:
        """Expression: 0 ≤ n < `buckets` from DuckDB's own hash, which may be another in its next version."""
        return f"CAST(hash({expression}) % {int(buckets)} AS {'INTEGER' if buckets < 1 << 31 else 'BIGINT'})"

    def registry_complete(self, metadata: str) -> str:
        """Predicate: the metadata, JSON or its text, tells the status 2; an entry of another shape is not complete."""
        return f"coalesce(json_extract_string(TRY_CAST({metadata} AS JSON), '$.complete.status') = '2', false)"


def _parsed(column: Column) -> Type:
    """The column's type; one that cannot be read is treated like any other that becomes text."""
    try:
        return parse(column.type)
    except (ValueError, IndexError):
        return Type("UNKNOWN")


def _is_number(type_: Type) -> bool:
    """Whether DuckDB hashes values of the type one to one, the sign of a zero aside.

    Others it takes for the same though their texts differ: wide integers whose halves are alike, a month and 30 days.
    """
    narrow = type_.name == "DECIMAL" and int(type_.parameters[0]) <= _DIGITS_IN_64_BITS
    return narrow or type_.name in _NUMBERS


def _text(name: str, type_: Type) -> str:
    """The text of any other value, NULL where it is NULL."""
    if type_.name in NESTED:
        return f"CASE WHEN {name} IS NOT NULL THEN {json_text(name, type_)} END"
    return f"CAST({name} AS VARCHAR)"


def _read(name: str, type_: Type) -> tuple[str, Kind]:
    """The expression and kind of a column named `name` (quoted)."""
    if type_.name in NESTED:
        return f"CASE WHEN {name} IS NOT NULL THEN {json_text(name, type_)} END", Kind.JSON
    if type_.name in TIMESTAMPS:
        instant = in_utc(name, type_)
        return f"CASE WHEN isfinite({instant}) THEN {instant} END", Kind.TIMESTAMP
    expressions = {
        Kind.NUMBER: decimal_text(name, type_),
        Kind.DATE: f"CASE WHEN isfinite({name}) THEN {name} END",
        Kind.JSON: strict_json(name),
        Kind.TEXT: f"CAST({name} AS VARCHAR)",
    }
    kind = _KINDS.get(type_.name, Kind.TEXT)
    return expressions.get(kind, name), kind


_KINDS: dict[str, Kind] = {
    **dict.fromkeys(INTEGERS, Kind.INTEGER),
    **dict.fromkeys(WIDE_INTEGERS, Kind.NUMBER),
    **dict.fromkeys(FLOATS, Kind.FLOAT),
    "DECIMAL": Kind.NUMBER,
    "DATE": Kind.DATE,
    "BOOLEAN": Kind.BOOLEAN,
    "BLOB": Kind.BINARY,
    "JSON": Kind.JSON,
}
