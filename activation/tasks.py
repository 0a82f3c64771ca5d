"""Wake-ups, a few lines each: the rows are the queue, so a message lost or doubled is harmless."""

from celery import shared_task
from django.utils import timezone

from activation import enabling, partitions, probes, pulse, recovery, run_steps, suppressions, watching
from activation.models import RunState, SyncRun

# A wake-up nobody took within this many seconds is dropped: the tick sends the next one.
_EXPIRES = 10


@shared_task(name="activation.tick")
def tick(**_: object) -> None:
    """Look for work: what workers let go, what is new in the projects, what nobody was woken for."""
    now = timezone.now()
    pulse.beat()
    recovery.put_back_stalled(now=now)
    enabling.follow_specifications(now=now)
    watching.start_syncs_of_new_runs(now=now)
    suppressions.retry_pending(now=now)
    for probe_id in probes.waiting(now=now):
        probe_destination.apply_async(kwargs={"probe_id": probe_id}, expires=_EXPIRES)
    wake()


def wake() -> None:
    """Wake a worker for every step there is to take."""
    now = timezone.now()
    waiting = SyncRun.objects.filter(state=RunState.QUEUED, not_before__lte=now)
    for run_id in waiting.values_list("pk", flat=True):
        take_snapshot.apply_async(kwargs={"run_id": run_id}, expires=_EXPIRES)
    for partition_id in partitions.waiting(now=now).values_list("pk", flat=True):
        load.apply_async(kwargs={"partition_id": partition_id}, expires=_EXPIRES)
    for run_id in partitions.to_finish(now=now).values_list("pk", flat=True):
        finish.apply_async(kwargs={"run_id": run_id}, expires=_EXPIRES)


@shared_task(name="activation.take_snapshot")
def take_snapshot(run_id: int, **_: object) -> None:
    """Take a queued run's snapshot."""
    if run_steps.take_snapshot(run_id, now=timezone.now()):
        wake()


@shared_task(name="activation.load")
def load(partition_id: int, **_: object) -> None:
    """Load a waiting partition."""
    if run_steps.load_partition(partition_id, now=timezone.now()):
        wake()


@shared_task(name="activation.finish")
def finish(run_id: int, **_: object) -> None:
    """Finish a run all of whose partitions are done."""
    run_steps.finish(run_id, now=timezone.now())


@shared_task(name="activation.probe_destination")
def probe_destination(probe_id: int, **_: object) -> None:
    """Test a destination's connection as asked for on a page."""
    probes.run(probe_id, now=timezone.now())
    wake()
