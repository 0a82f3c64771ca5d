"""Copies a view into our schema at the start of a run, and tells what has left it since: SQL over the warehouse port.

The warehouse does the work; nothing here knows its dialect beyond `port.Dialect`. The view's rows are read exactly
once, into the snapshot; counts come from there, so whatever happens to the view meanwhile matters nothing. Only one
that holds ids that are null or come more than once is written a second time, without them.

A snapshot's columns are `_id` (the final text of the id in keys), `_hash` (128 bits over the row), `_part` (the
partition) and then `c0`, `c1`, …: the view's columns by position, for the customer's names may collide with ours or
differ only by case. Reading it partition by partition scans it about once: it is laid out by `_part`, or, in a DuckDB
file, partitions are positions.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pyarrow as pa

from activation.engine import snapshot_sql as sql
from projects.warehouses.port import Column, Dialect, Part, Relation, Value, Warehouse, WarehouseError, own_table

# Grows with every change to how rows are laid out, hashed or encoded: the next sync writes every row anew, and what was
# begun in one format is loaded by no process that has another.
ROW_FORMAT = 2
MAX_PARTITIONS = 4096
PARTITION_ROWS = 250_000
# Rows that load in the time that it takes to begin a partition, a tenth of a second, are not worth another process.
WORTH_SHARING, FEW = 25_000, 4
MAX_NAME_BYTES = 55

_NAME = re.compile(r"activation_[0-9a-f]{8}_s[0-9]+_r[0-9]+_a[0-9]+_[a-z]+")


@dataclass(frozen=True)
class SnapshotPlan:
    """What to copy. `columns` are all of the view's, in order; `id_column` is the name of one of them.

    `normalisation` are steps of `port.Dialect.normalise`, applied to the id in their order. `ignored_columns` do not
    count when rows are compared.
    """

    relation: Relation
    columns: tuple[Column, ...]
    id_column: str
    partition_rows: int = PARTITION_ROWS
    normalisation: tuple[str, ...] = ()
    ignored_columns: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.id_column not in (column.name for column in self.columns):
            raise ValueError("the id column is none of the view's columns")


@dataclass(frozen=True)
class SnapshotReport:
    """What a snapshot holds and what was left out.

    `rows` are in the snapshot (carried over ones included), `rows_in_view` were in the view; `null_ids` counts rows
    whose id is null or blank, `duplicate_ids` ids that came several times with identical rows (kept once),
    `invalid_ids` ids that came with differing rows (their base row is kept, where there is one). `kept` are the rows
    of ids that left the view, where those are carried over too.
    """

    rows: int
    rows_in_view: int
    null_ids: int
    duplicate_ids: int
    invalid_ids: int
    partitions: int
    kept: int = 0


@dataclass(frozen=True)
class PartitionSize:
    """The rows of one partition, numbered from 0."""

    number: int
    upserts: int
    deletes: int


def table_name(installation: str, source: int, run: int, attempt: int, kind: str) -> str:
    """Return the name of a table of ours: `activation_<8hex>_s<source>_r<run>_a<attempt>_<kind>`, at most 55 bytes.

    Raises:
        ValueError: the parts do not make such a name.

    """
    name = f"activation_{installation}_s{source}_r{run}_a{attempt}_{kind}"
    if _NAME.fullmatch(name) is None or len(name) > MAX_NAME_BYTES:
        raise ValueError("the parts do not make the name of a table of ours")
    return own_table(name)


def take(
    warehouse: Warehouse,
    plan: SnapshotPlan,
    *,
    name: str,
    base: str | None = None,
    base_columns: Sequence[Column] | None = None,
    keep: bool = False,
    laid_out: bool = True,
) -> SnapshotReport:
    """Make the snapshot `name` of a view and return its counts.

    It is laid out by partition, unless it is not to be read by partition: ordering rows may cost as much as the rest
    where they do not fit into memory, and an incremental run reads its upserts and never its snapshot.

    `base` is the snapshot that the destination is known to hold: the row of an invalid id is carried over from it, by
    name and type of columns (`base_columns`; without them the base's columns are the plan's), NULL where it had none.
    With `keep` so are the rows of all ids that left the view, so that nobody is deleted.

    Raises:
        WarehouseError: as the warehouse says.

    """
    dialect, shape = warehouse.dialect, _shape(plan)
    partitions = partitions_for(_view_rows(warehouse, plan.relation), plan.partition_rows)
    with _dropped_on_failure(warehouse, name):
        copied = sql.copied(dialect, plan.relation, shape, partitions=partitions)
        rows_in_view = warehouse.create(name, copied, partitioned=laid_out)
        report = _count(warehouse, name, rows_in_view, partitions)
        repeated = report.duplicate_ids + report.invalid_ids > 0
        if not repeated and not report.null_ids and not keep:
            return report
        carried = None
        if base is not None and (repeated or keep):
            carried = sql.Base(base, tuple(plan.columns if base_columns is None else base_columns))
        if keep and carried is not None:
            report = _with_kept(warehouse, report, name, carried.name)
        partitions = partitions_for(report.rows + report.kept, plan.partition_rows)
        select = sql.cleaned(dialect, shape, name, partitions=partitions, repeated=repeated, base=carried, keep=keep)
        uses = [name] if carried is None else [name, carried.name]
        rows = warehouse.create(name, select, partitioned=laid_out, uses=uses)
    return replace(report, rows=rows, partitions=partitions)


def partition_sizes(
    warehouse: Warehouse, *, snapshot: str | None, deletes: str | None, partitions: int
) -> list[PartitionSize]:
    """Return the size of every partition, empty ones included, by number. Either table may be missing."""
    upserts, gone = (
        [0] * partitions if name is None else warehouse.partition_sizes(name, partitions)
        for name in (snapshot, deletes)
    )
    return [PartitionSize(number, *sizes) for number, sizes in enumerate(zip(upserts, gone, strict=True))]


def values(dialect: Dialect, columns: Sequence[Column]) -> tuple[Value, ...]:
    """Return how a snapshot's columns are read and written, under the view's own names: what an `Encoder` takes."""
    places = sql.positional(columns)
    return tuple(
        replace(dialect.value(place), column=column.name) for column, place in zip(columns, places, strict=True)
    )


def read_upserts(
    warehouse: Warehouse, columns: Sequence[Column], *, snapshot: str, part: Part
) -> Iterator[pa.RecordBatch]:
    """Yield a partition's rows in batches: `_id`, then one column per value of `values`, by position.

    `columns` are the view's when the snapshot was taken.
    """
    expressions = [value.expression for value in values(warehouse.dialect, columns)]
    return warehouse.stream_partition(snapshot, part, expressions)


def read_deletes(warehouse: Warehouse, name: str, part: Part) -> Iterator[pa.RecordBatch]:
    """Yield a partition's ids that are gone, in batches with the one column `_id`."""
    return warehouse.stream_partition(name, part)


def drop(warehouse: Warehouse, name: str) -> None:
    """Drop a table that a sync made; not being there is fine.

    Raises:
        ValueError: the name is none that `table_name` makes: the schema is shared, and we touch nothing else.

    """
    if _NAME.fullmatch(name) is None:
        raise ValueError("only tables that a sync made may be dropped")
    warehouse.drop(name)


def _shape(plan: SnapshotPlan) -> sql.Shape:
    return sql.Shape(plan.columns, plan.id_column, plan.normalisation, plan.ignored_columns)


@contextmanager
def _dropped_on_failure(warehouse: Warehouse, name: str) -> Iterator[None]:
    """Leave no half-made snapshot. The drop may fail too; the first error is the one to tell."""
    try:
        yield
    except BaseException:
        with suppress(WarehouseError):
            drop(warehouse, name)
        raise


def _view_rows(warehouse: Warehouse, relation: Relation) -> int:
    """Count the view, for the number of partitions only: the view may change before it is copied."""
    [(rows,)] = warehouse.fetch(sql.rows(warehouse.dialect, relation))
    return _whole(rows)


def _count(warehouse: Warehouse, name: str, rows_in_view: int, partitions: int) -> SnapshotReport:
    """Count a copy of the view; `rows` are its ids."""
    [(with_id, repeated)] = warehouse.fetch(sql.copied_repeated(warehouse.dialect, name), uses=[name])
    counts: tuple[object, ...] = (with_id, 0, 0)
    if repeated:
        [counts] = warehouse.fetch(sql.copied_ids(warehouse.dialect, name), uses=[name])
    ids, duplicates, invalid = counts
    return SnapshotReport(
        rows=_whole(ids),
        rows_in_view=rows_in_view,
        null_ids=rows_in_view - _whole(with_id),
        duplicate_ids=_whole(duplicates),
        invalid_ids=_whole(invalid),
        partitions=partitions,
    )


def _with_kept(warehouse: Warehouse, report: SnapshotReport, name: str, base: str) -> SnapshotReport:
    [(kept,)] = warehouse.fetch(sql.count_kept(warehouse.dialect, name, base), uses=[name, base])
    return replace(report, kept=_whole(kept))


def partitions_for(rows: int, partition_rows: int) -> int:
    """Return into how many partitions so many rows go: at least 1, and enough for a few processes to share the work."""
    shared = min(FEW, -(-rows // WORTH_SHARING))
    return min(MAX_PARTITIONS, max(1, shared, -(-rows // partition_rows)))


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a count is no whole number")
    return value
