"""What a worker does for a run: take the snapshot, load a partition, finish. Each step claims, works, moves on.

Called by tasks with ids only. A step that finds nothing to claim does nothing; a step that fails puts the run or the
partition back, or fails the run with words for the person who reads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Now
from django.utils import timezone

from accounts.vault import SecretUnreadable
from activation import partitions, run_states, suppressions, sync_log, syncs
from activation.claims import Heartbeat
from activation.engine import snapshots
from activation.engine.bookkeeping import FenceMissing, FenceMoved, WitnessMissing
from activation.engine.encoding import Encoder
from activation.engine.errors import DestinationError
from activation.engine.loader import Loader
from activation.engine.profiles import prefix
from activation.engine.synchronise import ClaimLost, Counts, PartitionLoad, Suppressions
from activation.models import PartitionState, RunState, Source, SyncPartition, SyncRun
from activation.run_faults import DATABASE_AWAY, fault_of
from activation.run_outcomes import end_early, postpone_finish
from activation.run_resources import (
    base_of,
    claim_of,
    columns_of,
    loader_of,
    plan,
    plan_of,
    table_name,
    tidy_up,
    warehouse_of,
)
from projects.warehouses import port

log = structlog.get_logger(__name__)


def take_snapshot(run_id: int, *, now: datetime) -> bool:
    """Take a queued run's snapshot and lay out its partitions; tell whether it now loads."""
    run = syncs.claim(run_id, now=now)
    if run is None:
        return False
    with _keeping(run) as heartbeat:
        try:
            return _snapshot(run, heartbeat)
        except FenceMoved:
            log.info("snapshot_superseded", run=run.public_id)  # a later attempt of the run has begun
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must not wait for its worker for ever
            if heartbeat.ours:
                run.state = RunState.SNAPSHOT  # a transaction that failed has moved `run` only
                end_early(run, fault_of(error, run=run.public_id))
    return False


def load_partition(partition_id: int, *, now: datetime) -> int | None:
    """Load a waiting partition; return its run if it was this worker's and is done now."""
    partition = partitions.claim(partition_id, now=now)
    if partition is None:
        return None
    counts = Counts()
    with Heartbeat(lambda: partitions.beat(partition, counts.as_fields())) as heartbeat:
        try:
            _load(partition, counts, heartbeat)
            done = partitions.complete(partition, counts.as_fields(), counts.failures, now=timezone.now())
        except Exception as error:  # noqa: BLE001 - as above
            _let_go(partition, error)
        else:
            return partition.run_id if done else None
    return None


def finish(run_id: int, *, now: datetime) -> bool:
    """Finish a run all of whose partitions are done; tell whether it succeeded here."""
    run = _claim_finish(run_id, now=now)
    if run is None:
        return False
    with _keeping(run):
        try:
            with loader_of(run.source) as loader:
                return _finish(run, loader)
        except Exception as error:  # noqa: BLE001 - as above
            run.state = RunState.FINISHING
            fault = fault_of(error, run=run.public_id)
            if fault.transient and not isinstance(error, FenceMissing | WitnessMissing):
                postpone_finish(run, fault)
            else:
                end_early(run, fault)
    return False


def _let_go(partition: SyncPartition, error: Exception) -> None:
    """Give up a partition after a fault, or its whole run; what somebody else has by now is left alone."""
    with suppress(*DATABASE_AWAY):  # then the lease tells that nobody works on it
        if isinstance(error, ClaimLost | FenceMoved):
            # Either somebody else has the partition, or a fence was moved for nobody: then it is requeued.
            partitions.give_up(partition, code="fence_moved")
            return
        fault = fault_of(error, run=partition.run.public_id)
        if fault.transient and not isinstance(error, FenceMissing):
            partitions.give_up(partition, code=fault.code)
        elif partitions.held(partition).exists():
            _close_fences(partition.run)
            end_early(partition.run, fault)


def _close_fences(run: SyncRun) -> None:
    """Keep workers of the run that sleep now from writing later; a destination that is away holds nobody's writes."""
    with suppress(DestinationError, SecretUnreadable), loader_of(run.source) as loader:
        loader.close_fences(run.public_id, run.attempt, run.partitions.count())


def _snapshot(run: SyncRun, heartbeat: Heartbeat) -> bool:
    source = run.source
    name, gone = table_name(run, "snapshot"), table_name(run, "deletes")
    with loader_of(source) as loader:
        loader.marker()  # a destination that is away costs the warehouse nothing
    with warehouse_of(source, heartbeat) as warehouse:
        the_plan = plan(source, warehouse)
        base = base_of(source, warehouse)
        report = snapshots.take(warehouse, the_plan, name=name, base=base, base_columns=columns_of(source.columns))
        deletes = 0
        if base:
            deletes = snapshots.take_deletes(
                warehouse, name=gone, snapshot=name, base=base, partitions=report.partitions
            )
        sizes = snapshots.partition_sizes(
            warehouse, snapshot=name, deletes=gone if base else None, partitions=report.partitions
        )
    if not heartbeat.confirm():
        return False  # a later attempt may be loading already; its fences are not to be taken away
    with loader_of(source) as loader:
        loader.begin(run.public_id, run.attempt, len(sizes))
    return partitions.lay_out(
        run,
        [size.upserts + size.deletes for size in sizes],
        now=timezone.now(),
        snapshot=name,
        base_snapshot=base or "",
        columns=[{"name": column.name, "type": column.type} for column in the_plan.columns],
        rows_in_view=report.rows_in_view,
        rows_planned=report.rows,
        snapshot_rows=report.rows,
        deletes_planned=deletes,
        null_ids=report.null_ids,
        duplicate_ids=report.duplicate_ids,
        invalid_ids=report.invalid_ids,
        error_code="",
        error="",
    )


def _load(partition: SyncPartition, counts: Counts, heartbeat: Heartbeat) -> None:
    run, source = partition.run, partition.run.source
    destination = source.destination
    key_prefix = prefix(destination.workspace_id, destination.public_id, source.entity, source.id_type)
    kept_out = Suppressions(partial(suppressions.since, destination.pk), settings.SUPPRESSION_KEYS)
    the_plan = plan_of(run)
    with warehouse_of(source, heartbeat) as warehouse, loader_of(source) as loader:
        values = snapshots.values(warehouse.dialect, the_plan.columns)
        with (
            loader.partition(claim_of(partition)) as writer,
            Encoder(
                prefix=key_prefix, values=values, secrets=settings.SUPPRESSION_KEYS, suppressed=kept_out.news()
            ) as encoder,
        ):
            load = PartitionLoad(
                writer=writer,
                encoder=encoder,
                suppressions=kept_out,
                still_ours=lambda: heartbeat.ours,
                counts=counts,
                cancel=warehouse.cancel,
            )
            deletes = (
                snapshots.read_deletes(warehouse, table_name(run, "deletes"), partition.number)
                if run.base_snapshot
                else ()
            )
            load.run(
                snapshots.read_upserts(warehouse, the_plan, snapshot=run.snapshot, number=partition.number),
                deletes,
                prefix=key_prefix,
            )


def _claim_finish(run_id: int, *, now: datetime) -> SyncRun | None:
    """Win FINISHING, or take it over from a worker that stopped beating."""
    runs = SyncRun.objects.select_related(
        "source__activation__project__warehouse", "source__destination__organisation"
    ).filter(pk=run_id, not_before__lte=now)
    run = runs.filter(state=RunState.LOADING).exclude(partitions__state__in=_OPEN).first()
    if run is not None:
        return run if run_states.move(run, RunState.FINISHING, now=now) else None
    run = runs.filter(state=RunState.FINISHING).first()
    if run is None:
        return None
    taken = SyncRun.objects.filter(
        pk=run.pk, state=RunState.FINISHING, attempt=run.attempt, heartbeat_at__isnull=True
    ).update(heartbeat_at=Now())
    return run if taken else None


_OPEN = (PartitionState.WAITING, PartitionState.LOADING)


def _finish(run: SyncRun, loader: Loader) -> bool:
    source = run.source
    loader.close_fences(run.public_id, run.attempt, run.partitions.count())
    witnesses = {partition.number: claim_of(partition).text for partition in run.partitions.select_related("run")}
    loader.set_marker(run.public_id, base=None, witnesses=witnesses)
    if not _succeed(run, now=timezone.now()):
        return False
    log.info("sync_succeeded", run=run.public_id, source=source.public_id, written=run.written, deleted=run.deleted)
    _tidy_up(run, loader)
    return True


@transaction.atomic
def _succeed(run: SyncRun, *, now: datetime) -> bool:
    sums = run.partitions.aggregate(
        written=Sum("written"), deleted=Sum("deleted"), suppressed=Sum("suppressed"), failed=Sum("failed")
    )
    counts = {name: value or 0 for name, value in sums.items()}
    if not run_states.move(run, RunState.SUCCEEDED, now=now, **counts):
        return False
    Source.objects.filter(pk=run.source_id).update(
        base_snapshot=run.snapshot, base_rows=run.snapshot_rows or 0, base_run=run, columns=run.columns, full_next=""
    )
    return True


def _tidy_up(run: SyncRun, loader: Loader) -> None:
    """Log what the run did and drop what it leaves behind; what cannot be dropped now goes with the next run."""
    sync_log.write(run, now=timezone.now())
    try:
        loader.finish(run.public_id)
        tidy_up(run)
    except (port.WarehouseError, DestinationError) as error:
        log.warning("sync_left_tables_behind", run=run.public_id, code=error.code)


@contextmanager
def _keeping(run: SyncRun) -> Iterator[Heartbeat]:
    """Keep a claimed run alive."""
    beat = SyncRun.objects.filter(pk=run.pk, state=run.state, attempt=run.attempt)
    with Heartbeat(lambda: bool(beat.update(heartbeat_at=Now()))) as heartbeat:
        yield heartbeat
