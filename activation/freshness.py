"""Since when a source should have been synced again: what makes a good sync an old one.

A sync is due after a finished Profiles run or at the schedule's times, so time alone makes nothing stale: a project
that runs weekly is fresh for a week, and one that is synced by hand for ever.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from activation import timetables
from activation.models import Source
from activation.timetables import AfterProfilesRuns, Basic
from projects.models import ProfilesRun, RunStatus


def due_since(source: Source) -> datetime | None:
    """Return when the first sync of a source after its last good one was due, or None while none is."""
    base, activation = source.base_run, source.activation
    return due_after(
        (base.snapshot_at or base.queued_at) if base is not None else source.created_at,
        synced=base is not None,
        enabled_at=activation.enabled_at,
        schedule=activation.schedule,
        first_run=lambda: first_runs(Source.every_place.filter(pk=source.pk)).get(source.pk),
    )


def due_after(
    began: datetime,
    *,
    synced: bool,
    enabled_at: datetime,
    schedule: Mapping[str, object],
    first_run: Callable[[], datetime | None],
) -> datetime | None:
    """Return when the first sync was due after a good one that began then; never earlier than that.

    Of a source that was not synced, `began` is when it was made. `first_run` is asked where Profiles runs decide.
    """
    if not synced:
        return began
    if enabled_at > began:  # turning the sync on starts one
        return enabled_at
    timetable = timetables.from_kept(schedule)
    if isinstance(timetable, AfterProfilesRuns):
        return first_run()
    return timetable.next_after(max(began, timetable.since) if isinstance(timetable, Basic) else began)


def first_runs(sources: QuerySet[Source]) -> dict[int, datetime]:
    """Return when the first Profiles run finished after each source's last good sync, where one did. One query.

    The warehouse's clock may be ahead of ours: the run that was synced is no reason to sync again.
    """
    finished = ProfilesRun.objects.filter(
        project_id=OuterRef("activation__project_id"), status=RunStatus.FINISHED, finished_at__gt=OuterRef("base_began")
    ).exclude(pk=OuterRef("base_covered"))
    known = sources.alias(
        base_began=Coalesce("base_run__snapshot_at", "base_run__queued_at"),
        base_covered=Coalesce(F("base_run__profiles_run_id"), 0),
    )
    first = Subquery(finished.order_by("finished_at").values("finished_at")[:1])
    return {key: at for key, at in known.values_list("pk", first) if at is not None}
