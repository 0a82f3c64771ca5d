"""Wake-ups, a few lines each: the rows are the queue, so a message lost or doubled is harmless."""

import structlog
from celery import shared_task
from django.utils import timezone

from activation import (
    alert_deliveries,
    alert_watch,
    cascades,
    deletions,
    enabling,
    failed_ids,
    move_steps,
    partitions,
    previews,
    probes,
    pulse,
    reconcile_hand_overs,
    reconcile_looks,
    recovery,
    run_finishes,
    run_steps,
    schedules,
    server_looks,
    source_tables,
    suppressions,
    syncs,
    usage,
    watching,
)
from activation.run_faults import place_of

log = structlog.get_logger(__name__)

# A wake-up nobody took within this many seconds is dropped: the tick sends the next one.
_EXPIRES = 10
_AT_ONCE = 32


@shared_task(name="activation.tick")
def tick(**_: object) -> None:
    """Look for work: what workers let go, what is new in the projects, what nobody was woken for."""
    now = timezone.now()
    pulse.beat()
    well = True
    for look in (
        recovery.put_back_stalled,
        recovery.close_left_fences,
        enabling.follow_specifications,
        watching.start_follow_ups,
        schedules.start_due,
        move_steps.carry_on,
        watching.start_syncs_of_new_runs,
        suppressions.retry_pending,
        reconcile_looks.put_back_stalled,
        reconcile_hand_overs.carry_on,
    ):
        try:
            look(now=now)
        except Exception as error:  # noqa: BLE001 - one kind of work that breaks must not stop the others
            well = False
            # Its text may hold data.
            log.error("tick_broke", error=type(error).__name__, at=place_of(error))  # noqa: TRY400 - no text
    for probe_id in probes.waiting(now=now):
        probe_destination.apply_async(kwargs={"probe_id": probe_id}, expires=_EXPIRES)
    for preview_id in previews.waiting(now=now):
        preview.apply_async(kwargs={"preview_id": preview_id}, expires=_EXPIRES)
    for reconcile_id in reconcile_hand_overs.waiting(now=now):
        reconcile.apply_async(kwargs={"reconcile_id": reconcile_id}, expires=_EXPIRES)
    for deletion_id in deletions.waiting(now=now):
        delete_other_ids.apply_async(kwargs={"deletion_id": deletion_id}, expires=_EXPIRES)
    wake()
    if well:
        pulse.went_well()


def wake() -> None:
    """Wake workers for the steps there are to take; what is beyond a handful comes with the next call."""
    now = timezone.now()
    for run_id in syncs.claimable(now=now).order_by("queued_at").values_list("pk", flat=True)[:_AT_ONCE]:
        take_snapshot.apply_async(kwargs={"run_id": run_id}, expires=_EXPIRES)
    _wake_loaders(_AT_ONCE)
    for run_id in partitions.to_finish(now=now).values_list("pk", flat=True)[:_AT_ONCE]:
        finish.apply_async(kwargs={"run_id": run_id}, expires=_EXPIRES)


def _wake_loaders(most: int) -> None:
    """Wake workers for waiting partitions, drawn at random so that no run waits for another's last one."""
    waiting = partitions.waiting(now=timezone.now()).order_by("?").values_list("pk", flat=True)
    for partition_id in waiting[:most]:
        load.apply_async(kwargs={"partition_id": partition_id}, expires=_EXPIRES)


def wake_for_probe(probe_id: int) -> None:
    """Wake a worker for a connection test."""
    probe_destination.apply_async(kwargs={"probe_id": probe_id}, expires=_EXPIRES)


@shared_task(name="activation.take_snapshot")
def take_snapshot(run_id: int, **_: object) -> None:
    """Take a queued run's snapshot."""
    if run_steps.take_snapshot(run_id, now=timezone.now()):
        wake()


@shared_task(name="activation.load")
def load(partition_id: int, **_: object) -> None:
    """Load a waiting partition, then see to it that the next one is loaded."""
    run_id = run_steps.load_partition(partition_id, now=timezone.now())
    if run_id is None:
        return
    _wake_loaders(1)
    finish.apply_async(kwargs={"run_id": run_id}, expires=_EXPIRES)


@shared_task(name="activation.finish")
def finish(run_id: int, **_: object) -> None:
    """Finish a run all of whose partitions are done."""
    run_steps.finish(run_id, now=timezone.now())


@shared_task(name="activation.preview")
def preview(preview_id: int, **_: object) -> None:
    """Work out what a sync would do."""
    previews.run(preview_id, now=timezone.now())


@shared_task(name="activation.probe_destination")
def probe_destination(probe_id: int, **_: object) -> None:
    """Test a destination's connection as asked for on a page."""
    probes.run(probe_id, now=timezone.now())
    wake()


@shared_task(name="activation.reconcile")
def reconcile(reconcile_id: int, **_: object) -> None:
    """Go on with a look through a destination for some seconds, or tidy up after one."""
    if reconcile_looks.look(reconcile_id, now=timezone.now()):
        reconcile.apply_async(kwargs={"reconcile_id": reconcile_id}, expires=_EXPIRES)
    else:
        reconcile_hand_overs.tidy(reconcile_id)


@shared_task(name="activation.delete_other_ids")
def delete_other_ids(deletion_id: int, **_: object) -> None:
    """Go on with a cascading delete."""
    cascades.work(deletion_id, now=timezone.now())


@shared_task(name="activation.look_for_alerts")
def look_for_alerts(**_: object) -> None:
    """Look for what somebody should be told, and wake a worker for every message that is due."""
    alert_watch.look(now=timezone.now())
    send_alerts()


def send_alerts() -> None:
    """Wake a worker for every message that is due; what is beyond a handful comes with the next look."""
    for delivery_id in alert_deliveries.due(now=timezone.now()):
        deliver_alert.apply_async(kwargs={"delivery_id": delivery_id}, expires=_EXPIRES)


@shared_task(name="activation.deliver_alert")
def deliver_alert(delivery_id: int, **_: object) -> None:
    """Bring one message to its recipient."""
    alert_deliveries.deliver(delivery_id, now=timezone.now())


@shared_task(name="activation.forget")
def forget(**_: object) -> None:
    """Forget what is kept for some weeks only."""
    now = timezone.now()
    alert_deliveries.tidy(now=now)
    deletions.forget(now=now)
    failed_ids.expire(now=now)
    previews.forget(now=now)
    run_finishes.sweep(now=now)
    source_tables.sweep(now=now)
    usage.forget(now=now)


@shared_task(name="activation.look_at_servers")
def look_at_servers(**_: object) -> None:
    """Wake a worker for each destination whose servers are to be looked at."""
    for destination_id in server_looks.due(now=timezone.now()):
        look_at_server.apply_async(kwargs={"destination_id": destination_id}, expires=_EXPIRES)


@shared_task(name="activation.look_at_server")
def look_at_server(destination_id: int, **_: object) -> None:
    """Look at one destination's servers."""
    server_looks.look(destination_id, now=timezone.now())
