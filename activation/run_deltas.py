"""What a run has to do, worked out in the warehouse: the tables of an attempt, its delta, its partitions' sizes."""

from dataclasses import astuple, dataclass

import structlog
from django.conf import settings

from activation.engine import deltas, snapshots
from activation.engine.deltas import Delta, Known, Tables
from activation.engine.snapshots import SnapshotPlan, SnapshotReport
from activation.models import SyncRun
from activation.run_records import Record
from activation.run_resources import table_name, warehouse_of
from projects.warehouses import port

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Names:
    """The tables of an attempt."""

    snapshot: str
    upserts: str
    deletes: str
    chosen: str
    queued: str

    @classmethod
    def of(cls, run: SyncRun) -> "Names":
        """Name those of a run's present attempt."""
        return cls(*(table_name(run, kind) for kind in ("snapshot", "upserts", "deletes", "chosen", "queued")))


def incremental(
    warehouse: port.Warehouse, names: Names, the_plan: SnapshotPlan, report: SnapshotReport, record: Record
) -> Delta:
    """Work out an incremental run: what differs from the base, and whatever may be out of step."""
    assert record.base is not None
    dirty = list(record.known.dirty)
    if record.listed.ids:
        warehouse.put_ids(names.queued, record.listed.ids)
        dirty.append(names.queued)
    return deltas.take_incremental(
        warehouse,
        Tables(names.snapshot, names.upserts, names.deletes, names.chosen),
        columns=len(the_plan.columns),
        snapshot_rows=report.rows,
        base_rows=record.base_rows,
        base=record.base,
        dirty=dirty,
        partition_rows=settings.PARTITION_ROWS,
    )


def full(warehouse: port.Warehouse, names: Names, report: SnapshotReport, record: Record) -> Delta:
    """Work out a full run: every row, and every id that may be there and is not in the view.

    What is listed on our side is in the base or in the snapshot, if it is anything of ours: nothing is to be added.
    """
    known = record.known
    if known == Known():
        return Delta(report.rows, 0, 0, report.partitions)
    partitions = report.partitions
    removed = deltas.take_deletes(
        warehouse, name=names.deletes, snapshot=names.snapshot, known=known, partitions=partitions
    )
    gone = 0
    if removed and known.base:
        gone = deltas.count_gone(warehouse, deletes=names.deletes, base=known.base)
    return Delta(report.rows, removed, gone, partitions)


def sizes(warehouse: port.Warehouse, delta: Delta, upserts: str | None, names: Names) -> list[int]:
    """Return each partition's rows; nothing to do needs no partition."""
    if delta.upserts + delta.deletes == 0:
        return []
    found = snapshots.partition_sizes(
        warehouse,
        snapshot=upserts,
        deletes=names.deletes if delta.deletes else None,
        partitions=delta.partitions,
    )
    return [size.upserts + size.deletes for size in found]


def drop_tables(run: SyncRun) -> None:
    """Drop what an attempt made that lost the run before anybody could load from it."""
    try:
        with warehouse_of(run.source) as warehouse:
            for name in astuple(Names.of(run)):
                snapshots.drop(warehouse, name)
    except port.WarehouseError as error:
        log.warning("tables_left_behind", run=run.public_id, code=error.code)  # they go with the next run
