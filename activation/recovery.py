"""Puts back what workers let go: stalled snapshots, abandoned partitions, unfinished finishes.

A partition is requeued only behind a moved fence, so a worker that was given up and wakes later writes nothing.
"""

from datetime import datetime, timedelta

import structlog

from activation import partitions, run_outcomes, run_states
from activation.models import RunState, SyncPartition, SyncRun
from activation.run_faults import Fault, fault_of
from activation.run_resources import claim_of, loader_of

log = structlog.get_logger(__name__)


def put_back_stalled(*, now: datetime) -> None:
    """Send runs whose worker sent no heartbeat for the lease back to where they can be claimed.

    So are those that nobody here can load, once whoever can is gone.
    """
    for run in run_states.stalled():
        if run.state == RunState.FINISHING:
            run_outcomes.postpone_finish(run, Fault("worker_stalled", "The workers that finished it went away.", True))
        else:
            run_outcomes.put_back(run, code="worker_stalled", message="The worker that took the snapshot went away.")
    for partition in partitions.abandoned(now=now).select_related("run__source__destination__organisation"):
        _requeue(partition, now=now)
    for run in partitions.left_alone(now=now):
        log.info("sync_left_alone", run=run.public_id, row_format=run.row_format)
        run_outcomes.put_back(run, code="other_version", message=_LEFT_ALONE)


def close_left_fences(*, now: datetime) -> None:
    """Close the fences of runs that were stopped or failed, so that no sleeping worker of theirs writes later.

    A destination that is away is tried again after a minute, one that refuses us after an hour.
    """
    left = SyncRun.objects.filter(fences_open=True, not_before__lte=now, state__in=_ENDED)
    for run in left.select_related("source__destination__organisation").order_by("not_before")[:_CLOSED_AT_ONCE]:
        ended = SyncRun.objects.filter(pk=run.pk)
        if SyncRun.objects.filter(source_id=run.source_id, pk__gt=run.pk, fence_attempt__gt=0).exists():
            ended.update(fences_open=False)  # a later run took these fences away when it began
            continue
        try:
            with loader_of(run.source) as loader:
                loader.close_fences(run.public_id, run.fence_attempt, run.fence_partitions)
        except Exception as error:  # noqa: BLE001 - one destination's trouble must not keep the others' fences open
            fault = fault_of(error, run=run.public_id)
            log.info("fences_not_closed", run=run.public_id, code=fault.code)
            ended.update(not_before=now + timedelta(minutes=1 if fault.transient else 60))
        else:
            ended.update(fences_open=False)


_LEFT_ALONE = (
    "Another version of this product began it, and no process of that version went on with it. It starts over."
)
_ENDED = (RunState.FAILED, RunState.CANCELLED)
_CLOSED_AT_ONCE = 10


def _requeue(partition: SyncPartition, *, now: datetime) -> None:
    if partition.retries >= run_states.MOST_RETRIES:
        code = partition.error_code or "worker_stalled"
        run_outcomes.fail(partition.run, code=code, message=f"A partition failed {partition.retries} times: {code}.")
        return
    try:
        with loader_of(partition.run.source) as loader:
            moved = loader.move_fence(claim_of(partition, attempt=partition.attempt + 1))
    except Exception as error:  # noqa: BLE001 - one run's trouble must not keep the others from being put back
        fault = fault_of(error, run=partition.run.public_id)
        log.info("fence_not_moved", run=partition.run.public_id, partition=partition.number, code=fault.code)
        if fault.transient:
            partitions.postpone(partition, now=now)
        else:
            run_outcomes.end_early(partition.run, fault)
        return
    if moved:
        partitions.requeued(partition, now=now)
    elif partitions.held(partition).exists():
        run_outcomes.put_back(partition.run, code="fence_lost", message="The destination lost the run's fence.")
