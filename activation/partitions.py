"""The partitions of a run: laid out once, claimed by one task at a time, requeued behind a moved fence.

A partition's `attempt` is its fence. It moves on only in `requeued`, after the fence in the destination has moved
(`activation.recovery`), so a worker that was given up writes nothing when it wakes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from activation import dirty_ids, run_states
from activation.engine import snapshots
from activation.models import PartitionState, RedisDestination, RunState, SyncPartition, SyncRun

# Time for workers that are busy elsewhere, or about to be started, to take up what only they can load.
_LEFT_FOR = timedelta(minutes=2)


def lay_out(run: SyncRun, sizes: Sequence[int], *, now: datetime, **fields: object) -> bool:
    """Create a run's partitions, numbered from 0 with their planned rows, and move it to LOADING, in one transaction.

    Tells whether the run was still the caller's; if not, nothing changes.
    """
    with transaction.atomic():
        # Whoever loads a partition reads the suppressions after this has been committed, so all up to this one.
        fields["suppressions_known"] = RedisDestination.objects.values_list("last_suppression", flat=True).get(
            pk=run.source.destination.served_id
        )
        fields["row_format"] = snapshots.ROW_FORMAT
        if not run_states.move(run, RunState.LOADING, now=now, **fields):
            return False
        run.partitions.all().delete()
        SyncPartition.objects.bulk_create(
            SyncPartition(run=run, number=number, rows_planned=rows, not_before=now)
            for number, rows in enumerate(sizes)
        )
        return True


def claim(partition_id: int, *, now: datetime) -> SyncPartition | None:
    """Take a waiting partition of a loading run; None when it is not there to take.

    One of a run in another format is left to processes that have it: this one would encode rows in its own, under a
    fingerprint that says otherwise, and no later sync would look at them.
    """
    waiting = SyncPartition.objects.filter(
        pk=partition_id,
        state=PartitionState.WAITING,
        not_before__lte=now,
        run__state=RunState.LOADING,
        run__row_format=snapshots.ROW_FORMAT,
    )
    partition = waiting.select_related(
        "run__source__activation__project__warehouse", "run__source__destination__organisation"
    ).first()
    if partition is None:
        return None
    taken = SyncPartition.objects.filter(
        pk=partition_id,
        state=PartitionState.WAITING,
        attempt=partition.attempt,
        run__state=RunState.LOADING,
        run__attempt=partition.run.attempt,
    ).update(
        state=PartitionState.LOADING,
        heartbeat_at=Now(),
        started_at=now,
        written=0,
        deleted=0,
        suppressed=0,
        failed=0,
        failures={},
        error_code="",
    )
    return partition if taken else None


def held(partition: SyncPartition) -> QuerySet[SyncPartition]:
    """Return the partition, if it still is the claimer's and its run still loads."""
    return SyncPartition.objects.filter(
        pk=partition.pk,
        state=PartitionState.LOADING,
        attempt=partition.attempt,
        run__state=RunState.LOADING,
        run__attempt=partition.run.attempt,
    )


def beat(partition: SyncPartition, counts: Mapping[str, int]) -> bool:
    """Say that the claimer lives and how far it is; tell whether the partition still is its own."""
    return bool(held(partition).update(heartbeat_at=Now(), **counts))


def note(partition: SyncPartition, counts: Mapping[str, int], failures: Mapping[str, int]) -> None:
    """Keep how far the claimer came and why rows failed, for the page of a run that ends here."""
    held(partition).update(failures=dict(failures), **counts)


def loading_into(destination_id: int) -> int:
    """Count the partitions that workers load into a destination now: at least 1.

    Those of a run that was stopped or failed stay as they were then, and nobody loads them.
    """
    loading = SyncPartition.objects.filter(
        state=PartitionState.LOADING,
        heartbeat_at__isnull=False,
        run__state=RunState.LOADING,
        run__source__destination=destination_id,
    )
    return max(1, loading.count())


@transaction.atomic
def complete(
    partition: SyncPartition,
    counts: Mapping[str, int],
    failures: Mapping[str, int],
    failed_ids: Iterable[tuple[str, str]] = (),
    *,
    too_many: bool = False,
    now: datetime,
) -> bool:
    """Mark a partition done and keep the ids that failed, as id and reason; tell whether it still was the claimer's."""
    done = held(partition).update(
        state=PartitionState.DONE, finished_at=now, heartbeat_at=None, failures=dict(failures), **counts
    )
    if done:
        dirty_ids.add_failed(partition.run, failed_ids, too_many=too_many, now=now)
    return bool(done)


def reopened(run: SyncRun, numbers: Collection[int], *, now: datetime) -> bool:
    """Have a finishing run load some partitions once more, under the next attempt; tell whether it still was ours.

    Call it only after their fences moved to that attempt.
    """
    with transaction.atomic():
        if not run_states.move(run, RunState.LOADING, now=now):
            return False
        for partition in run.partitions.filter(number__in=numbers):
            run.partitions.filter(pk=partition.pk, attempt=partition.attempt).update(
                state=PartitionState.WAITING,
                attempt=partition.attempt + 1,
                retries=partition.retries + 1,
                not_before=now,
            )
        return True


def give_up(partition: SyncPartition, *, code: str) -> None:
    """Let go of a partition after a transient fault, so that it is requeued without waiting for the lease."""
    held(partition).update(heartbeat_at=None, error_code=code)


def abandoned(*, now: datetime) -> QuerySet[SyncPartition]:
    """Return the partitions that say a worker is on them while it let go, or sent no heartbeat for the lease."""
    lease = timedelta(seconds=settings.SYNC_LEASE)
    return SyncPartition.objects.filter(
        Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=Now() - lease),
        state=PartitionState.LOADING,
        not_before__lte=now,
        run__state=RunState.LOADING,
    )


def requeued(partition: SyncPartition, *, now: datetime) -> bool:
    """Let a partition be claimed again under the next attempt. Call it only after the fence moved to that attempt."""
    return bool(
        held(partition).update(
            state=PartitionState.WAITING,
            attempt=partition.attempt + 1,
            retries=partition.retries + 1,
            not_before=now + run_states.wait_before(partition.retries),
        )
    )


def postpone(partition: SyncPartition, *, now: datetime) -> None:
    """Try to requeue a partition later: its fence cannot be moved at the moment."""
    held(partition).update(
        heartbeat_at=None, retries=partition.retries + 1, not_before=now + run_states.wait_before(partition.retries)
    )


def waiting(*, now: datetime) -> QuerySet[SyncPartition]:
    """Return the partitions there are to claim."""
    return SyncPartition.objects.filter(
        state=PartitionState.WAITING, not_before__lte=now, run__state=RunState.LOADING
    ).order_by("run_id", "number")


def left_alone(*, now: datetime) -> QuerySet[SyncRun]:
    """Return the loading runs in another format than ours that no process which has it has gone on with for a while."""
    of_run, lately = SyncPartition.objects.filter(run=OuterRef("pk")), now - _LEFT_FOR
    waiting = of_run.filter(state=PartitionState.WAITING)
    goes_on = of_run.filter(state=PartitionState.LOADING) | of_run.filter(finished_at__gt=lately)
    others = SyncRun.objects.filter(state=RunState.LOADING).exclude(row_format=snapshots.ROW_FORMAT)
    return others.filter(Exists(waiting), ~Exists(goes_on), ~Exists(waiting.filter(not_before__gt=lately)))


def to_finish(*, now: datetime) -> QuerySet[SyncRun]:
    """Return the runs to finish: loading ones without an open partition, and finishing ones that nobody works on."""
    open_ones = SyncPartition.objects.filter(run=OuterRef("pk")).exclude(state=PartitionState.DONE)
    loaded = Q(~Exists(open_ones), state=RunState.LOADING)
    let_go = Q(state=RunState.FINISHING, heartbeat_at__isnull=True)
    return SyncRun.objects.filter(loaded | let_go, not_before__lte=now)
