"""When the sources of a project are synced: the choice that people make, and the tick that starts what is due.

What is due is decided from rows: `Activation.next_sync_at` says when, and whoever moves it on starts the syncs, in one
transaction. So two ticks start one sync, and after a night without ticks one sync follows and not many.
"""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import syncs, timetables
from activation.models import Activation, Source, SyncRun
from activation.timetables import Timetable


def of(activation: Activation) -> Timetable:
    """Return the schedule of an activation."""
    return timetables.from_kept(activation.schedule)


@transaction.atomic
def change(activation: Activation, timetable: Timetable, *, by: Actor, now: datetime) -> None:
    """Give a project another schedule, which counts from now on. Raises `PermissionRefused`.

    One that it has already changes nothing: what is due by it and was not started yet would be forgotten.
    """
    by.require(Permission.EDIT_PROJECTS)
    if timetable == of(activation):
        return
    activation.schedule = timetable.as_kept()
    activation.next_sync_at = timetable.next_after(now)
    activation.save(update_fields=["schedule", "next_sync_at"])
    audit.record(
        "schedule_changed",
        by=by,
        target_type="project",
        target_id=activation.project.public_id,
        target=activation.project.name,
        details={"schedule": timetable.words},
        now=now,
    )


def start_due(*, now: datetime) -> list[SyncRun]:
    """Start the syncs of every project that is due, or have them follow those that are active; return those started."""
    due = Activation.objects.filter(enabled=True, next_sync_at__lte=now).order_by("next_sync_at")
    started: list[SyncRun] = []
    for activation in due.select_related("project__organisation"):
        with transaction.atomic():
            if _move_on(activation, now=now) and not _done_by_turning_on(activation):
                started += _start(activation, now=now)
    return started


def _move_on(activation: Activation, *, now: datetime) -> bool:
    """Say when it is due the next time; tell whether that was still to be said."""
    return bool(
        Activation.objects.filter(
            pk=activation.pk, enabled=True, schedule=activation.schedule, next_sync_at=activation.next_sync_at
        ).update(next_sync_at=of(activation).next_after(now))
    )


def _done_by_turning_on(activation: Activation) -> bool:
    """Tell whether it was due before the sync was turned on, which has started one itself."""
    return activation.next_sync_at is not None and activation.next_sync_at <= activation.enabled_at


def _start(activation: Activation, *, now: datetime) -> list[SyncRun]:
    sources = Source.objects.filter(activation=activation, status=Source.Status.ACTIVE).order_by("pk")
    by = Actor.system(activation.project.organisation)
    return syncs.request_all(
        list(sources.select_related("activation__project")), trigger=SyncRun.Trigger.SCHEDULE, by=by, now=now
    )
