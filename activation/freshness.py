"""Since when a source should have been synced again: what makes a good sync an old one.

A sync is due after a finished Profiles run or at the schedule's times, so time alone makes nothing stale: a project
that runs weekly is fresh for a week, and one that is synced by hand for ever.
"""

from datetime import datetime

from activation import timetables
from activation.models import Source, SyncRun
from activation.timetables import AfterProfilesRuns, Basic
from projects.models import ProfilesRun, RunStatus


def due_since(source: Source, last_good: SyncRun | None) -> datetime | None:
    """Return when the first sync after the last good one was due, or None while none is.

    Turning the sync on starts one, so one was due then too.
    """
    if last_good is None:
        return source.created_at
    began = last_good.snapshot_at or last_good.queued_at
    activation = source.activation
    if activation.enabled_at > began:
        return activation.enabled_at
    timetable = timetables.from_kept(activation.schedule)
    if isinstance(timetable, AfterProfilesRuns):
        return _first_run_after(source, last_good, began)
    return timetable.next_after(max(began, timetable.since) if isinstance(timetable, Basic) else began)


def _first_run_after(source: Source, last_good: SyncRun, began: datetime) -> datetime | None:
    finished = ProfilesRun.objects.filter(
        project_id=source.activation.project_id, status=RunStatus.FINISHED, finished_at__gt=began
    )
    if last_good.profiles_run_id:
        # The warehouse's clock may be ahead of ours: the run that was synced is no reason to sync again.
        finished = finished.exclude(pk=last_good.profiles_run_id)
    return finished.order_by("finished_at").values_list("finished_at", flat=True).first()
