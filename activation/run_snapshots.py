"""The first step of a run: decide what it is, take the snapshot, work out what there is to do, lay out partitions.

Nothing is written to the destination here but the run's key and fences, and those only once everything that may be
written is on record.
"""

from dataclasses import dataclass
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from activation import guard, partitions, run_deltas, run_plans, run_records
from activation.claims import Heartbeat
from activation.engine import deltas, profiles, room, snapshots
from activation.engine.bookkeeping import FenceMoved
from activation.engine.deltas import Delta, Known
from activation.engine.errors import DestinationBusy
from activation.engine.loader import Loader
from activation.engine.memory import Memory, may_drop
from activation.engine.snapshots import SnapshotPlan, SnapshotReport
from activation.guard import NeedsConfirmation
from activation.models import RedisDestination, Source, SyncRun
from activation.run_deltas import Names
from activation.run_faults import RecordLost
from activation.run_plans import Decision, Found
from activation.run_records import Record
from activation.run_resources import (
    columns_of,
    drop_left_overs,
    loader_of,
    plan,
    table_prefix,
    warehouse_of,
)
from projects.warehouses import port

log = structlog.get_logger(__name__)

# A warning of a run: what left the view while its names were lost may still be in the destination.
RECONCILE = "reconcile_advised"
# Another one: the destination's memory limit is expected to be reached.
MEMORY_SHORT = "memory_short"


@dataclass(frozen=True)
class _Held:
    """What the destination said: the marker, each server's evictions so far, and its memory."""

    marker: str | None
    evictions: dict[str, int] | None
    memory: dict[str, Memory] | None


@dataclass(frozen=True)
class _Work:
    """What a run will do: its delta, its partitions' sizes, and what its row keeps."""

    delta: Delta
    sizes: list[int]
    dirty_tables: list[str]
    fields: dict[str, object]


def take(run: SyncRun, heartbeat: Heartbeat) -> bool:
    """Take a claimed run's snapshot and lay out its partitions; tell whether it now loads.

    Raises `WarehouseError`, `DestinationError`, `ViewUnusable`, `NeedsConfirmation`, `RecordLost`, `FenceMoved`.
    """
    source = run.source
    with loader_of(source) as loader:
        # First, so that a destination that is away costs the warehouse nothing.
        held = _Held(loader.marker(), loader.evictions(), loader.memory())
    with warehouse_of(source, heartbeat) as warehouse:
        record = run_records.find(source, warehouse, prefix=table_prefix(source))
        if run.kind == SyncRun.Kind.REMOVAL:
            work = _removal(run, warehouse, record)
        else:
            work = _sync(run, warehouse, record, held)
    _require_same_place(source)
    with loader_of(source) as loader:
        try:
            _begin(loader, run, len(work.sizes), heartbeat)
        except FenceMoved:
            run_deltas.drop_tables(run)
            raise
    if not _lay_out(run, work):
        run_deltas.drop_tables(run)
        return False
    try:
        drop_left_overs(run)
    except port.WarehouseError as error:
        log.warning("tables_left_behind", run=run.public_id, code=error.code)  # they go with the next run
    return True


def _begin(loader: Loader, run: SyncRun, partitions: int, heartbeat: Heartbeat) -> None:
    """Set the fences up, unless a later attempt is loading already; its fences are not to be taken away.

    The run before may tidy up between two looks at the destination: whoever still has the run looks again.
    """
    begin = partial(loader.begin, run.public_id, run.attempt, partitions, still_ours=heartbeat.confirm)
    try:
        begin()
    except FenceMoved:
        if not heartbeat.confirm():
            raise
        begin()


def _sync(run: SyncRun, warehouse: port.Warehouse, record: Record, held: _Held) -> _Work:
    source, names = run.source, Names.of(run)
    the_plan = plan(source, warehouse)
    found = Found(
        base=record.base is not None,
        record=record.complete,
        marker=held.marker,
        evictions=held.evictions,
        may_evict=may_drop(held.memory),
    )
    decision = run_plans.decide(run, source, the_plan, found)
    report = snapshots.take(
        warehouse,
        the_plan,
        name=names.snapshot,
        base=record.base,
        base_columns=columns_of(source.columns),
        keep=guard.keeps_everybody(source),
        laid_out=not decision.incremental,
    )
    if decision.incremental:
        delta = run_deltas.incremental(warehouse, names, the_plan, report, record)
    else:
        delta = run_deltas.full(warehouse, names, report, record)
    lost = record.names_lost or run_records.left_too_long(source, now=timezone.now())
    warnings = [RECONCILE] if lost else []
    if not decision.incremental and _memory_is_short(run, warehouse, the_plan, report, record, held):
        warnings.append(MEMORY_SHORT)
    more = {"evictions": held.evictions or {}, "warnings": warnings}
    fields = _fields(run, the_plan, report, delta, decision, names) | more
    _ask_the_guard(run, delta, record, fields, snapshot_rows=report.rows)
    upserts = names.upserts if decision.incremental else names.snapshot
    dirty = [upserts, *([names.deletes] if delta.deletes else [])]
    sizes = run_deltas.sizes(warehouse, delta, upserts, names)
    return _Work(delta, sizes, dirty, {**fields, "dirty_upto": record.listed.upto})


def _removal(run: SyncRun, warehouse: port.Warehouse, record: Record) -> _Work:
    """Work out the removal of everything of the source: all ids that the destination may hold."""
    source, names = run.source, Names.of(run)
    if (source.base_snapshot and record.base is None) or not record.complete:
        raise RecordLost
    known = record.known
    rows = record.base_rows + sum(deltas.count_rows(warehouse, name) for name in known.dirty)
    partitions = snapshots.partitions_for(rows, settings.PARTITION_ROWS)
    removed = 0
    if known != Known():
        removed = deltas.take_deletes(warehouse, name=names.deletes, snapshot=None, known=known, partitions=partitions)
    delta = Delta(0, removed, record.base_rows, partitions)
    fields: dict[str, object] = {
        "snapshot": "",
        "base_snapshot": record.base or "",
        "upserts_table": "",
        "deletes_table": names.deletes if removed else "",
        "rows_planned": 0,
        "deletes_planned": removed,
        "dirty_upto": record.listed.upto,
    }
    # A removal that ends early has taken some away: what is removed is as little in step as what is written.
    dirty = [names.deletes] if removed else list(source.dirty_tables)
    return _Work(delta, run_deltas.sizes(warehouse, delta, None, names), dirty, fields)


def _fields(
    run: SyncRun,
    the_plan: SnapshotPlan,
    report: SnapshotReport,
    delta: Delta,
    decision: Decision,
    names: Names,
) -> dict[str, object]:
    return {
        "kind": decision.kind,
        "full_reason": decision.reason,
        "snapshot": names.snapshot,
        "base_snapshot": run.source.base_snapshot,
        "upserts_table": names.upserts if decision.incremental else "",
        "deletes_table": names.deletes if delta.deletes else "",
        "shape": run_plans.shape_of(run.source, the_plan),
        "columns": [{"name": column.name, "type": column.type} for column in the_plan.columns],
        "rows_in_view": report.rows_in_view,
        "snapshot_rows": report.rows,
        "rows_planned": delta.upserts,
        "unchanged": report.rows - delta.upserts,
        "kept_rows": report.kept,
        "deletes_planned": delta.deletes,
        "null_ids": report.null_ids,
        "duplicate_ids": report.duplicate_ids,
        "invalid_ids": report.invalid_ids,
        "error_code": "",
        "error": "",
    }


def _memory_is_short(
    run: SyncRun, warehouse: port.Warehouse, the_plan: SnapshotPlan, report: SnapshotReport, record: Record, held: _Held
) -> bool:
    """Tell whether the profiles that are new to the destination are expected not to fit into it.

    A warning only: the estimate knows neither what others do with the server nor how it packs what it holds.
    """
    if not held.memory or not any(server.maximum for server in held.memory.values()):
        return False
    source, destination = run.source, run.source.destination
    key_prefix = profiles.prefix(destination.workspace_id, destination.public_id, source.entity, source.id_type)
    each = room.bytes_per_profile(
        warehouse, the_plan, snapshot=Names.of(run).snapshot, prefix=key_prefix, field=source.feature_view
    )
    new = report.rows if held.marker is None else max(0, report.rows - record.base_rows)
    return room.is_short(new * each, held.memory)


def _ask_the_guard(
    run: SyncRun, delta: Delta, record: Record, fields: dict[str, object], *, snapshot_rows: int
) -> None:
    """Raise `NeedsConfirmation` where that is so, leaving the counts on the run; a confirmation is for these.

    Whom earlier syncs deleted, and a full one deletes again, is not counted: as many profiles more could leave by it.
    A place that is new is compared with the one that is served, so that a move does not empty it either.
    """
    source, gone, base_rows = run.source, delta.gone, record.base_rows
    if source.other_place_of is not None and record.base is None:
        base_rows = source.other_place_of.base_rows
        gone = max(0, base_rows - snapshot_rows)
    try:
        guard.check(source, gone=gone, base_rows=base_rows, snapshot_rows=snapshot_rows)
    except NeedsConfirmation:
        shown = {**fields, "deletes_planned": gone}
        SyncRun.objects.filter(pk=run.pk, state=run.state, attempt=run.attempt).update(**shown)
        raise


def _require_same_place(source: Source) -> None:
    """Raise `DestinationBusy` when the destination is reached in another way by now; the run then starts again."""
    unchanged = RedisDestination.every_place.filter(pk=source.destination_id, version=source.destination.version)
    if not unchanged.exists():
        raise DestinationBusy("How the destination is reached was changed meanwhile.", code="destination_changed")


def _lay_out(run: SyncRun, work: _Work) -> bool:
    """Put the run's partitions and, with them, what it may write on record; tell whether it was still ours."""
    with transaction.atomic():
        _require_same_place(run.source)
        laid_out = partitions.lay_out(
            run,
            work.sizes,
            now=timezone.now(),
            fences_open=True,
            fence_attempt=run.attempt,
            fence_partitions=len(work.sizes),
            **work.fields,
        )
        if laid_out:
            source = Source.every_place.filter(pk=run.source_id)
            source.update(dirty_tables=work.dirty_tables)
            # What made this run full is taken care of: all that it may write is on record. What came since is not,
            # and a removal takes care of nothing: the source may return before it has ended.
            if run.kind != SyncRun.Kind.REMOVAL:
                source.filter(full_next=run.source.full_next).update(full_next="")
        return laid_out
