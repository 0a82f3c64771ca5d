"""Since when a source should have been synced again: what makes a good sync an old one.

A sync is due after a finished Profiles run or at the schedule's times, so time alone makes nothing stale: a project
that runs weekly is fresh for a week, and one that is synced by hand for ever.
"""

from datetime import datetime

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

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


def with_first_run(sources: QuerySet[Source]) -> QuerySet[Source]:
    """Have the sources know the first Profiles run after their last good sync, so that `due_since` asks nothing."""
    finished = ProfilesRun.objects.filter(
        project_id=OuterRef("activation__project_id"), status=RunStatus.FINISHED, finished_at__gt=OuterRef("base_began")
    ).exclude(pk=OuterRef("base_covered"))
    known = sources.alias(
        base_began=Coalesce("base_run__snapshot_at", "base_run__queued_at"),
        base_covered=Coalesce(F("base_run__profiles_run_id"), 0),
    )
    return known.annotate(first_run_after=Subquery(finished.order_by("finished_at").values("finished_at")[:1]))


def _first_run_after(source: Source, last_good: SyncRun, began: datetime) -> datetime | None:
    if hasattr(source, "first_run_after"):
        known: datetime | None = source.first_run_after
        return known
    finished = ProfilesRun.objects.filter(
        project_id=source.activation.project_id, status=RunStatus.FINISHED, finished_at__gt=began
    )
    if last_good.profiles_run_id:
        # The warehouse's clock may be ahead of ours: the run that was synced is no reason to sync again.
        finished = finished.exclude(pk=last_good.profiles_run_id)
    return finished.order_by("finished_at").values_list("finished_at", flat=True).first()
