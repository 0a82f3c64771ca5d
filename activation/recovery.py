"""Puts back what workers let go: stalled snapshots, abandoned partitions, unfinished finishes.

A partition is requeued only behind a moved fence, so a worker that was given up and wakes later writes nothing.
"""

from datetime import datetime

import structlog

from activation import partitions, run_outcomes, run_states
from activation.engine.errors import DestinationError
from activation.models import RunState, SyncPartition, SyncRun
from activation.run_resources import claim_of, loader_of

log = structlog.get_logger(__name__)


def put_back_stalled(*, now: datetime) -> None:
    """Send runs whose worker sent no heartbeat for the lease back to where they can be claimed."""
    for run in run_states.stalled():
        if run.state == RunState.FINISHING:
            SyncRun.objects.filter(
                pk=run.pk, state=run.state, attempt=run.attempt, heartbeat_at=run.heartbeat_at
            ).update(heartbeat_at=None)
        else:
            run_outcomes.put_back(run, code="worker_stalled", message="The worker that took the snapshot went away.")
    for partition in partitions.abandoned(now=now).select_related("run__source__destination__organisation"):
        _requeue(partition, now=now)


def _requeue(partition: SyncPartition, *, now: datetime) -> None:
    if partition.retries >= run_states.MOST_RETRIES:
        code = partition.error_code or "worker_stalled"
        run_outcomes.fail(partition.run, code=code, message=f"A partition failed {partition.retries} times: {code}.")
        return
    try:
        with loader_of(partition.run.source) as loader:
            moved = loader.move_fence(claim_of(partition, attempt=partition.attempt + 1))
    except DestinationError as error:
        log.info("fence_not_moved", run=partition.run.public_id, partition=partition.number, code=error.code)
        partitions.postpone(partition, now=now)
        return
    if moved:
        partitions.requeued(partition, now=now)
    else:
        run_outcomes.put_back(partition.run, code="fence_lost", message="The destination lost the run's fence.")
