"""What is known of a source's profiles in the destination: base, dirty tables, tombstones; and which tables to keep.

The tables lie in the customer's warehouse, where anybody may drop one. What is recorded here is compared with what is
there, and a loss makes the next run full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from activation import dirty_ids
from activation.dirty_ids import Listed
from activation.engine import deltas
from activation.engine.deltas import Known
from activation.models import RunState, Source, SyncRun
from projects.warehouses.port import Warehouse

# A backup older than this is not expected to be restored; Reconcile is for those.
TOMBSTONES_KEPT = timedelta(days=35)
# A day's tombstones are merged into one table when there are more of them.
_TOMBSTONES_A_DAY = 8


@dataclass(frozen=True)
class Record:
    """What was found. `complete` tells whether nothing that lists ids out of step was lost.

    `names_lost` tells whether a table is gone that named profiles: some may be in the destination and in no table.
    """

    known: Known
    base_rows: int
    listed: Listed
    complete: bool
    names_lost: bool

    @property
    def base(self) -> str | None:
        """The base snapshot, if it is there as recorded."""
        return self.known.base


def find(source: Source, warehouse: Warehouse, *, prefix: str) -> Record:
    """Look for a source's tables, whose names begin with `prefix`. Raises `WarehouseError`."""
    there = set(warehouse.tables(prefix))
    base = source.base_snapshot if source.base_snapshot in there else None
    if base and deltas.count_rows(warehouse, base) != source.base_rows:
        base = None
    dirty = [name for name in source.dirty_tables if name in there]
    tombstones = [name for name, _ in tombstones_of(source) if name in there]
    listed = dirty_ids.listed(source)
    all_dirty = len(dirty) == len(source.dirty_tables)
    return Record(
        known=Known(base, tuple(dirty), tuple(tombstones)),
        base_rows=source.base_rows if base else 0,
        listed=listed,
        complete=listed.complete and all_dirty,
        names_lost=not all_dirty or (bool(source.base_snapshot) and base is None),
    )


def tombstones_of(source: Source) -> list[tuple[str, date]]:
    """Return the tables of deleted ids that still count, each with its day."""
    return [(str(kept["table"]), date.fromisoformat(kept["day"])) for kept in source.tombstones]


def with_tombstone(source: Source, table: str, *, now: datetime) -> list[dict[str, str]]:
    """Return a source's tombstones with one more, without those that are too old."""
    kept = [(name, day) for name, day in tombstones_of(source) if day >= (now - TOMBSTONES_KEPT).date()]
    if table:
        kept.append((table, now.date()))
    return _as_kept(kept)


def left_too_long(source: Source, *, now: datetime) -> bool:
    """Tell whether what a source wrote was left in Redis so long ago that nothing names it any more."""
    return source.left_at is not None and source.left_at < now - TOMBSTONES_KEPT


def merge_tombstones(source: Source, warehouse: Warehouse, *, name: str) -> None:
    """Merge the tombstones of a day that has many into the table `name`. Raises `WarehouseError`."""
    kept = tombstones_of(source)
    for day, of_day in groupby(sorted(kept, key=lambda each: each[1]), key=lambda each: each[1]):
        tables = [table for table, _ in of_day]
        if len(tables) > _TOMBSTONES_A_DAY:
            there = set(warehouse.tables(name.rpartition("_r")[0]))
            deltas.merge_tombstones(warehouse, name=name, tables=[table for table in tables if table in there])
            merged = _as_kept([*(each for each in kept if each[1] != day), (name, day)])
            if Source.every_place.filter(pk=source.pk, tombstones=source.tombstones).update(tombstones=merged):
                source.tombstones = merged
            return


def tables_to_keep(source: Source) -> set[str]:
    """Return the names of the source's tables that are still needed: read `source` anew for it."""
    successes = SyncRun.objects.filter(source=source, state=RunState.SUCCEEDED).exclude(snapshot="")
    # Without a base everything was removed, and no older snapshot tells anything any more.
    kept = source.activation.keep_snapshots if source.base_snapshot else 0
    newest = successes.order_by("-pk").values_list("snapshot", flat=True)[:kept]
    tombstones = {table for table, _ in tombstones_of(source)}
    return {source.base_snapshot, *newest, *source.dirty_tables, *tombstones}


def _as_kept(tombstones: Sequence[tuple[str, date]]) -> list[dict[str, str]]:
    return [{"table": table, "day": day.isoformat()} for table, day in tombstones]
