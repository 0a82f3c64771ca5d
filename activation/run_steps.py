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
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from accounts.vault import SecretUnreadable
from activation import partitions, run_finishes, run_snapshots, run_states, suppressions, syncs
from activation.claims import Heartbeat
from activation.engine import snapshots, upserts
from activation.engine.bookkeeping import FenceMissing, FenceMoved
from activation.engine.errors import DestinationError
from activation.engine.pace import Pace
from activation.engine.profiles import prefix
from activation.engine.row_faults import FaultLimit
from activation.engine.synchronise import ClaimLost, Counts, PartitionLoad, Suppressions
from activation.models import PartitionState, RunState, SyncPartition, SyncRun
from activation.run_faults import DATABASE_AWAY, SnapshotLost, fault_of
from activation.run_outcomes import end_early, postpone_finish
from activation.run_resources import claim_of, columns_of, loader_of, warehouse_of
from projects.warehouses.port import Part, RelationMissing, Warehouse

log = structlog.get_logger(__name__)


def take_snapshot(run_id: int, *, now: datetime) -> bool:
    """Take a queued run's snapshot and lay out its partitions; tell whether it now loads."""
    run = syncs.claim(run_id, now=now)
    if run is None:
        return False
    with _keeping(run) as heartbeat:
        try:
            return run_snapshots.take(run, heartbeat)
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
    destination = partition.run.source.destination
    counts, pace = Counts(), Pace(destination.rows_per_second)

    def beat() -> bool:
        pace.among = partitions.loading_into(destination.pk)
        return partitions.beat(partition, counts.as_fields())

    with Heartbeat(beat) as heartbeat:
        try:
            _load(partition, counts, pace, heartbeat)
            done = partitions.complete(
                partition,
                counts.as_fields(),
                counts.failures,
                counts.failed_ids,
                too_many=counts.too_many_to_list,
                now=timezone.now(),
            )
        except Exception as error:  # noqa: BLE001 - as above
            _let_go(partition, counts, error)
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
            return run_finishes.finish(run)
        except Exception as error:  # noqa: BLE001 - as above
            run.state = RunState.FINISHING
            fault = fault_of(error, run=run.public_id)
            if fault.transient and not isinstance(error, FenceMissing):
                postpone_finish(run, fault)
            else:
                end_early(run, fault)
    return False


def _let_go(partition: SyncPartition, counts: Counts, error: Exception) -> None:
    """Give up a partition after a fault, or its whole run; what somebody else has by now is left alone."""
    with suppress(*DATABASE_AWAY):  # then the lease tells that nobody works on it
        if isinstance(error, ClaimLost | FenceMoved):
            # Either somebody else has the partition, or a fence was moved for nobody: then it is requeued.
            partitions.give_up(partition, code="fence_moved")
            return
        fault = fault_of(error, run=partition.run.public_id)
        if fault.transient and not isinstance(error, FenceMissing | SnapshotLost):
            partitions.give_up(partition, code=fault.code)
        elif partitions.held(partition).exists():
            _close_fences(partition.run)
            partitions.note(partition, counts.as_fields(), counts.failures)
            end_early(partition.run, fault)


def _close_fences(run: SyncRun) -> None:
    """Keep workers of the run that sleep now from writing later; a destination that is away holds nobody's writes."""
    with suppress(DestinationError, SecretUnreadable), loader_of(run.source) as loader:
        loader.close_fences(run.public_id, run.fence_attempt, run.fence_partitions)
        SyncRun.objects.filter(pk=run.pk, fence_attempt=run.fence_attempt).update(fences_open=False)


def _load(partition: SyncPartition, counts: Counts, pace: Pace, heartbeat: Heartbeat) -> None:
    """Load a partition.

    Its source and project may have changed since the snapshot was taken. What the rows are is told by the run, so of
    these only what cannot change while it loads is read, and how the destination and the warehouse are reached now.
    """
    run, source = partition.run, partition.run.source
    destination = source.destination
    pace.among = partitions.loading_into(destination.pk)
    key_prefix = prefix(destination.workspace_id, destination.public_id, source.entity, source.id_type)
    kept_out = Suppressions(partial(suppressions.since, destination.served_id), settings.SUPPRESSION_KEYS)
    removal = run.kind == SyncRun.Kind.REMOVAL
    part = Part(partition.number, of=run.fence_partitions)
    with (
        warehouse_of(source, heartbeat) as warehouse,
        _noticing_loss(run, warehouse),
        loader_of(source) as loader,
        loader.partition(claim_of(partition), among=lambda: pace.among) as writer,
        upserts.reading(
            warehouse,
            None if removal else columns_of(run.columns),
            name=run.upserts_table or run.snapshot,
            part=part,
            prefix=key_prefix,
            secrets=settings.SUPPRESSION_KEYS,
            suppressed=kept_out.news(),
            field=writer.field_of_commands,
        ) as (encoder, rows),
    ):
        load = PartitionLoad(
            writer=writer,
            encoder=encoder,
            suppressions=kept_out,
            still_ours=lambda: heartbeat.ours,
            counts=counts,
            pace=pace,
            cancel=warehouse.cancel,
            limit=FaultLimit(of=run.all_rows, unchanged=run.unchanged or 0),
        )
        table = run.deletes_table
        deletes = snapshots.read_deletes(warehouse, table, part) if table else ()
        load.run(rows, deletes, prefix=key_prefix)


@contextmanager
def _noticing_loss(run: SyncRun, warehouse: Warehouse) -> Iterator[None]:
    """Raise `SnapshotLost` where what is missing in the warehouse is a table of the run."""
    try:
        yield
    except RelationMissing:
        needed = {run.upserts_table or run.snapshot, run.deletes_table} - {""}
        if any(name not in warehouse.tables(name) for name in needed):
            raise SnapshotLost from None
        raise


def _claim_finish(run_id: int, *, now: datetime) -> SyncRun | None:
    """Win FINISHING, or take it over from a worker that stopped beating."""
    runs = SyncRun.objects.select_related(
        "source__activation__project__warehouse", "source__destination__organisation"
    ).filter(pk=run_id, not_before__lte=now)
    open_ones = SyncPartition.objects.filter(run=OuterRef("pk"), state__in=_OPEN)
    run = runs.filter(~Exists(open_ones), state=RunState.LOADING).first()
    if run is not None:
        # Again in the same statement: partitions whose writes were lost may be open again by now.
        return run if run_states.move(run, RunState.FINISHING, ~Exists(open_ones), now=now) else None
    run = runs.filter(state=RunState.FINISHING).first()
    if run is None:
        return None
    taken = SyncRun.objects.filter(
        pk=run.pk, state=RunState.FINISHING, attempt=run.attempt, heartbeat_at__isnull=True
    ).update(heartbeat_at=Now())
    return run if taken else None


_OPEN = (PartitionState.WAITING, PartitionState.LOADING)


@contextmanager
def _keeping(run: SyncRun) -> Iterator[Heartbeat]:
    """Keep a claimed run alive."""
    beat = SyncRun.objects.filter(pk=run.pk, state=run.state, attempt=run.attempt)
    with Heartbeat(lambda: bool(beat.update(heartbeat_at=Now()))) as heartbeat:
        yield heartbeat
