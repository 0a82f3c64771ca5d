"""The last step of a run: prove that the destination holds what it acknowledged, then move the base.

Acknowledged is not durable: a server that restarts or fails over may lose its last writes. So the run's key, the base's
marker and every partition's witness are looked for before the run counts.
"""

from collections import Counter
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from activation import dirty_ids, offers, partitions, run_records, run_states, source_tables, sync_log
from activation.engine.bookkeeping import FenceMissing, WitnessMissing
from activation.engine.errors import DestinationError
from activation.engine.loader import Loader
from activation.engine.row_faults import TooManyRowFaults, too_many
from activation.models import RunState, Source, SyncRun
from activation.run_faults import fault_of
from activation.run_resources import claim_of, drop_left_overs, loader_of, table_name, warehouse_of
from projects.warehouses import port

log = structlog.get_logger(__name__)


def finish(run: SyncRun) -> bool:
    """Finish a run claimed in FINISHING; tell whether it succeeded here.

    Partitions whose last writes the destination lost are loaded once more. Raises `FenceMissing`, `DestinationError`,
    `TooManyRowFaults`.
    """
    with loader_of(run.source) as loader:
        loader.close_fences(run.public_id, run.fence_attempt, run.fence_partitions)
        _require_few_faults(run)
        witnesses = {partition.number: claim_of(partition).text for partition in run.partitions.select_related("run")}
        try:
            loader.set_marker(run.public_id, base=_built_upon(run), witnesses=witnesses)
        except WitnessMissing as lost:
            _load_again(run, loader, lost.partitions)
            return False
        if run.kind == SyncRun.Kind.REMOVAL:
            # Before the records say so: what is left of a removal is not looked for again.
            loader.finish(run.public_id, marker=True)
        if not _succeed(run):
            return False
        log.info("sync_succeeded", run=run.public_id, source=run.source.public_id, kind=run.kind)
        _tidy_up(run, loader)
    return True


def _built_upon(run: SyncRun) -> str | None:
    """Return the run whose marker must be there still: an incremental run is right only on top of its base."""
    if run.kind != SyncRun.Kind.INCREMENTAL:
        return None
    if run.source.base_run is None:
        raise FenceMissing
    return run.source.base_run.public_id


def _require_few_faults(run: SyncRun) -> None:
    """Raise `TooManyRowFaults` where the partitions together have more refused rows than the run bears."""
    failures: Counter[str] = Counter()
    for of_partition in run.partitions.exclude(failures={}).values_list("failures", flat=True):
        failures.update(of_partition)
    if too_many(failures.total(), of=run.all_rows):
        raise TooManyRowFaults(failures.most_common(1)[0][0])


def _load_again(run: SyncRun, loader: Loader, numbers: frozenset[int]) -> None:
    for partition in run.partitions.filter(number__in=numbers).select_related("run"):
        if not loader.move_fence(claim_of(partition, attempt=partition.attempt + 1), reopen=True):
            raise FenceMissing
    partitions.reopened(run, numbers, now=timezone.now())
    log.info("writes_lost", run=run.public_id, partitions=len(numbers))


@transaction.atomic
def _succeed(run: SyncRun) -> bool:
    """Move the base, and forget what was out of step: all of it or nothing. Tells whether the run still was ours."""
    now = timezone.now()
    sums = run.partitions.aggregate(
        written=Sum("written"), deleted=Sum("deleted"), suppressed=Sum("suppressed"), failed=Sum("failed")
    )
    counts = {name: value or 0 for name, value in sums.items()}
    removed = run.kind == SyncRun.Kind.REMOVAL
    if not run_states.move(run, RunState.SUCCEEDED, now=now, fences_open=False, tables_left=removed, **counts):
        return False
    dirty_ids.settle(run)
    source = Source.every_place.get(pk=run.source_id)
    Source.every_place.filter(pk=source.pk).update(
        base_snapshot=run.snapshot,
        base_rows=run.snapshot_rows or 0,
        base_run=None if removed else run,
        base_evictions=run.evictions,
        left_at=None,
        columns=run.columns,
        shape=run.shape,
        dirty_tables=[],
        # Also of a removal: its source may return, and a backup of the time before be restored after that.
        tombstones=run_records.with_tombstone(source, run.deletes_table, now=now),
        confirmed_base="",
        confirmed_deletes=None,
        confirmed_choice="",
    )
    if removed:
        source_tables.note(source, now=now)
        Source.every_place.filter(pk=source.pk, status=Source.Status.REMOVING).update(status=Source.Status.REMOVED)
    return True


def _tidy_up(run: SyncRun, loader: Loader) -> None:
    """Log what the run did and drop what it leaves behind.

    What cannot be dropped now goes with the next run; after a removal, which none may follow, `sweep` looks again,
    until the removal's tombstones are too old.
    """
    if run.source.other_place_of_id is None:
        sync_log.write(run, now=timezone.now())
        if run.kind != SyncRun.Kind.REMOVAL:
            offers.note(run)
    try:
        if run.kind != SyncRun.Kind.REMOVAL:
            loader.finish(run.public_id)
        source = Source.every_place.get(pk=run.source_id)
        if len(source.tombstones) > 1:
            with warehouse_of(run.source) as warehouse:
                run_records.merge_tombstones(source, warehouse, name=table_name(run, "gone"))
        _drop_left_overs(run, now=timezone.now())
    except (port.WarehouseError, DestinationError) as error:
        log.warning("sync_left_tables_behind", run=run.public_id, code=error.code)


def sweep(*, now: datetime) -> None:
    """Drop what removals left in the warehouse: a worker died there, or the warehouse was away."""
    left = SyncRun.objects.filter(tables_left=True, finished_at__lte=now - _LEFT_ALONE, not_before__lte=now)
    for run in left.select_related("source__activation__project__warehouse").order_by("not_before")[:_SWEPT_AT_ONCE]:
        SyncRun.objects.filter(pk=run.pk).update(not_before=now + _SWEPT_EVERY)
        try:
            _drop_left_overs(run, now=now)
        except Exception as error:  # noqa: BLE001 - one warehouse's trouble must not keep the others' tables
            log.warning("sync_left_tables_behind", run=run.public_id, code=fault_of(error, run=run.public_id).code)


_LEFT_ALONE = timedelta(minutes=10)  # whoever finished the removal drops them at that moment
_SWEPT_EVERY = timedelta(minutes=50)
_SWEPT_AT_ONCE = 20


def _drop_left_overs(run: SyncRun, *, now: datetime) -> None:
    removed = Source.every_place.filter(pk=run.source_id, status=Source.Status.REMOVED).first()
    kept: list[object] = []
    if removed:
        tombstones = run_records.with_tombstone(removed, "", now=now)
        dirty = [] if run_records.left_too_long(removed, now=now) else removed.dirty_tables
        kept = [*tombstones, *dirty]
        unchanged = Source.every_place.filter(pk=removed.pk, status=Source.Status.REMOVED)
        unchanged.filter(dirty_tables=removed.dirty_tables).update(tombstones=tombstones, dirty_tables=dirty)
    drop_left_overs(run)
    ours = SyncRun.objects.filter(pk=run.pk, tables_left=True)
    if kept:
        ours.update(not_before=now + timedelta(days=1))
    else:
        ours.update(tables_left=False)
