"""What a run has to do: computed in the warehouse from two snapshots and the ids not known to be in step.

A delta is two tables. *Upserts* hold the rows to write, copied, so that reading them costs what changed and not what
there is; a full run needs none, its snapshot is what it writes. *Deletes* hold the ids to remove. Together they name
every id that a run may touch, which is why an unfinished run's tables are the record of what is out of step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from activation.engine import delta_sql as sql
from activation.engine.snapshots import drop, partitions_for
from projects.warehouses.port import Warehouse


@dataclass(frozen=True)
class Known:
    """The tables with the ids that the destination may hold.

    `base` is the snapshot it is known to hold, `dirty` are tables of ids whose state is not known, `tombstones` tables
    of ids deleted in the last weeks, which a restored backup brings back.
    """

    base: str | None = None
    dirty: tuple[str, ...] = ()
    tombstones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Delta:
    """What there is to do, in rows: `deletes` include `gone`, the ids of the base that are not in the snapshot."""

    upserts: int
    deletes: int
    gone: int
    partitions: int


@dataclass(frozen=True)
class Tables:
    """The tables of an incremental run: its snapshot, and what is made. `chosen` is there in between only."""

    snapshot: str
    upserts: str
    deletes: str
    chosen: str


def take_incremental(
    warehouse: Warehouse,
    tables: Tables,
    *,
    columns: int,
    snapshot_rows: int,
    base_rows: int,
    base: str,
    dirty: Sequence[str],
    partition_rows: int,
) -> Delta:
    """Make the tables `upserts` and, where anything is gone, `deletes` of an incremental run.

    Snapshot and base are of the same view, with so many `columns` and the same hash.

    Raises:
        WarehouseError: as the warehouse says.

    """
    dialect, snapshot, chosen = warehouse.dialect, tables.snapshot, tables.chosen
    differing = sql.changed(dialect, snapshot=snapshot, base=base, dirty=dirty)
    warehouse.create(chosen, differing, uses=[snapshot, base, *dirty])
    [(found, new)] = warehouse.fetch(sql.count_changed(dialect, chosen), uses=[chosen])
    writes = _whole(found)
    # Both hold each id once, so what is in both is what is not new, and the rest of the base is gone.
    gone = base_rows - (snapshot_rows - _whole(new))
    partitions = partitions_for(writes + gone, partition_rows)
    select = sql.upserts(dialect, snapshot=snapshot, chosen=chosen, columns=columns, partitions=partitions)
    warehouse.create(tables.upserts, select, partitioned=True, uses=[snapshot, chosen])
    drop(warehouse, chosen)
    removed = 0
    if gone or dirty:
        known = Known(base, tuple(dirty))
        removed = take_deletes(warehouse, name=tables.deletes, snapshot=snapshot, known=known, partitions=partitions)
    return Delta(writes, removed, gone, partitions)


def take_deletes(warehouse: Warehouse, *, name: str, snapshot: str | None, known: Known, partitions: int) -> int:
    """Make a table of the known ids that are not in the snapshot, with their partition, and return how many.

    An invalid id that has a base row is in the snapshot (carried over), so it is never taken for gone. Without a
    snapshot every known id is to be deleted.
    """
    tables = [*([known.base] if known.base else []), *known.dirty]
    select = sql.deletes(
        warehouse.dialect, snapshot=snapshot, known=tables, again=known.tombstones, partitions=partitions
    )
    uses = [*tables, *known.tombstones, *([snapshot] if snapshot else [])]
    return warehouse.create(name, select, partitioned=True, uses=uses)


def count_gone(warehouse: Warehouse, *, deletes: str, base: str) -> int:
    """Count the base's ids among the deletes."""
    return _count(warehouse, sql.gone(warehouse.dialect, deletes=deletes, base=base), deletes, base)


def count_rows(warehouse: Warehouse, name: str) -> int:
    """Count a table's rows."""
    return _count(warehouse, sql.rows(warehouse.dialect, name), name)


def merge_tombstones(warehouse: Warehouse, *, name: str, tables: Sequence[str]) -> int:
    """Make one table of deleted ids from several, and return its rows."""
    return warehouse.create(name, sql.merged(warehouse.dialect, tables), partitioned=True, uses=tables)


def _count(warehouse: Warehouse, query: str, *uses: str) -> int:
    [(count,)] = warehouse.fetch(query, uses=uses)
    return _whole(count)


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a count is no whole number")
    return value
