"""Turns Arrow batches of a snapshot into Redis keys and JSON text, without any row becoming a Python object.

An in-memory DuckDB in the worker does it by text concatenation. It never sees a file, the network or SQL of others:
the only names in its SQL are positions. `to_json` of whole values is used for strings only, because it is wrong for
floats (0.1::FLOAT → 0.10000000149011612), timestamps (no T, no Z), NaN and infinities (bare), binary, and nested JSON
(1.10 → 1.1); the format is that of the hosted product. A warehouse that is a DuckDB itself evaluates the same
expressions where the rows are (`packed_text`, `Packed`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from activation.engine.kept_out import KeptOut, Mark
from activation.engine.rows import Rows, hset, marked
from projects.warehouses.port import Kind, Value

OUTPUT = pa.schema([("key", pa.string()), ("json", pa.string()), ("suppressed", pa.bool_())])
MEMORY_LIMIT = "512MB"

_LOCKED_DOWN: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": MEMORY_LIMIT,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "lock_configuration": True,
}


class Encoder:
    """Encodes the batches of one source; a context manager, used by one thread.

    Shapes:
        in:  `_id` (text), then one column per value, told apart by position: names may repeat or be anything.
        out of `encode`: `key` (text), `json` (text; NULL means: remove the field), `suppressed` (boolean).
        out of `pack`: the same rows for the wire (`activation.engine.rows`); with a `field`, as commands.
    """

    def __init__(
        self,
        *,
        prefix: str,
        values: Sequence[Value],
        secrets: Mapping[int, bytes] | None = None,
        suppressed: Iterable[Mark] = (),
        field: str | None = None,
    ) -> None:
        self._prefix, self._field = prefix, field
        self._names = ["_id", *(f"c{position}" for position in range(len(values)))]
        self._json = _json_object(values, self._names[1:])
        self._kept_out = KeptOut((secrets or {}).values(), suppressed)
        self._connection = duckdb.connect(":memory:", config=_LOCKED_DOWN)
        self._connection.execute("SET VARIABLE prefix = ?", [prefix])
        self._source = _Source()
        self._prepared: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def suppress(self, marks: Iterable[Mark]) -> None:
        """Take further profiles as suppressed from the next batch on."""
        self._kept_out.add(marks)

    def encode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the keys and JSON texts of a batch's rows, in its order."""
        if batch.num_rows == 0:
            return pa.RecordBatch.from_pylist([], schema=OUTPUT)
        key, text = _one_batch(self._run(batch, "SELECT key, json")).columns
        suppressed = marked(len(key), self._kept_out.hits(Rows("", key, text)))
        without = pc.if_else(suppressed, pa.scalar(None, text.type), text)
        return pa.RecordBatch.from_arrays([key, without, suppressed], names=OUTPUT.names).cast(OUTPUT)

    def pack(self, batch: pa.RecordBatch | pa.Table) -> Rows:
        """Return a batch's rows as Redis reads them, in its order; suppressed ones as rows to be removed.

        A call costs some milliseconds beside what the rows cost: give thousands at a time.
        """
        if isinstance(batch, pa.Table):
            batch = _one_batch(batch)
        ids = _plain_column(batch.column(0)).cast(pa.string())
        if batch.num_rows == 0:
            return Rows.gone(self._prefix, ids)
        found = self._run(batch, f"SELECT {_packed('key', 'json', self._field)} AS packed")
        rows = Rows(self._prefix, ids, _one_batch(found).column(0), commands=self._field is not None)
        return rows.removing(self._kept_out.hits(rows))

    def close(self) -> None:
        """Free the memory; closing twice is fine."""
        self._connection.close()

    def _run(self, batch: pa.RecordBatch, select: str) -> pa.Table:
        """Select from `key` and `json` of a batch's rows.

        Planning costs as much as encoding thousands of rows, so each statement is prepared once and reads whatever
        batch the source holds.
        """
        plain = _plain(batch, self._names)
        if self._source.take(plain):
            self._connection.register("batch", self._source)
            self._prepared.clear()
        rows = f"SELECT getvariable('prefix') || _id AS key, {self._json} AS json FROM batch"  # noqa: S608 - made of positions and literals
        sql = f"{select} FROM ({rows})"
        if sql not in self._prepared:
            self._prepared[sql] = f"encode{len(self._prepared)}"
            self._connection.execute(f"PREPARE {self._prepared[sql]} AS {sql}")
        return self._connection.sql(f"EXECUTE {self._prepared[sql]}").to_arrow_table()


class Packed:
    """Takes rows that the warehouse has packed; in the place of an `Encoder`.

    Shape of what comes in: `_id` (text), then what `packed_text` selects.
    """

    def __init__(
        self,
        *,
        prefix: str,
        secrets: Mapping[int, bytes] | None = None,
        suppressed: Iterable[Mark] = (),
        commands: bool = False,
    ) -> None:
        self._prefix, self._commands = prefix, commands
        self._kept_out = KeptOut((secrets or {}).values(), suppressed)

    def suppress(self, marks: Iterable[Mark]) -> None:
        """Take further profiles as suppressed from the next batch on."""
        self._kept_out.add(marks)

    def pack(self, batch: pa.RecordBatch | pa.Table) -> Rows:
        """Return a batch's rows, in its order; suppressed ones as rows to be removed."""
        ids, packed = (column.cast(pa.string()) for column in batch.columns)
        rows = Rows(self._prefix, ids, packed, commands=self._commands)
        return rows.removing(self._kept_out.hits(rows))


def packed_text(prefix: str, values: Sequence[Value], field: str | None = None) -> str:
    """Return DuckDB's expression of a snapshot's row as Redis reads it: what `Encoder.pack` makes of it, as a text."""
    key = f"({_literal(prefix)} || _id)"
    return _packed(key, _json_object(values, [value.expression for value in values]), field)


class _Source:
    """The batch that is being encoded, as a table of DuckDB's (https://arrow.apache.org/docs/format/CDataInterface/)."""

    def __init__(self) -> None:
        self._batch: pa.RecordBatch | None = None

    def take(self, batch: pa.RecordBatch) -> bool:
        """Hold this batch from now on; tell whether it has other columns than the one before."""
        changed = self._batch is None or self._batch.schema != batch.schema
        self._batch = batch
        return changed

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        assert self._batch is not None
        return pa.RecordBatchReader.from_batches(self._batch.schema, [self._batch]).__arrow_c_stream__(requested_schema)


def _json_object(values: Sequence[Value], columns: Sequence[str]) -> str:
    """Return the expression of a row's JSON text: compact, in the view's order, null where a value is NULL.

    `columns` are the expressions of the values themselves.
    """
    parts: list[str] = []
    for position, (value, column) in enumerate(zip(values, columns, strict=True)):
        opening = "{" if position == 0 else ","
        parts.append(_literal(f"{opening}{json.dumps(value.column, ensure_ascii=False)}:"))
        parts.append(f"coalesce({_JSON[value.kind].format(x=f'({column})')}, 'null')")
    parts.append("'}'" if values else "'{}'")
    return f"concat({', '.join(parts)})"


def _packed(key: str, text: str, field: str | None) -> str:
    """Return the expression of two bulk strings, one after the other, or of the HSET of a field."""
    if field is None:
        return f"concat({_bulk(key)}, {_bulk(text)})"
    before, between = (_literal(part.decode()) for part in hset(field))
    return f"concat({before}, {_bulk(key)}, {between}, {_bulk(text)})"


def _bulk(text: str) -> str:
    """Return the arguments of `concat` that make a text expression a bulk string."""
    return f"'$', strlen({text}), chr(13) || chr(10), {text}, chr(13) || chr(10)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


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
_JSON = {
    Kind.TEXT: "to_json({x})::VARCHAR",
    Kind.NUMBER: "{x}::VARCHAR",
    Kind.INTEGER: "{x}::VARCHAR",
    Kind.FLOAT: "CASE WHEN isfinite({x}) THEN {x}::VARCHAR END",
    Kind.BOOLEAN: "{x}::VARCHAR",
    Kind.TIMESTAMP: _TIMESTAMP,
    Kind.DATE: _DATE,
    Kind.BINARY: "'\"' || base64({x}) || '\"'",
    Kind.JSON: "{x}::VARCHAR",
}


def _plain(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return the batch under positional names, without extension types, and with UTC timestamps without their zone."""
    return pa.RecordBatch.from_arrays([_plain_column(column) for column in batch.columns], names=list(names))


def _plain_column(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return column.cast(pa.timestamp(column.type.unit))
    return column


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
