"""Since when a source should have been synced again: what makes a good sync an old one.

A sync is due after each finished Profiles run, so time alone makes nothing stale: a project that runs weekly is fresh
for a week.
"""

from datetime import datetime

from activation.models import Source, SyncRun
from projects.models import ProfilesRun, RunStatus


def due_since(source: Source, last_good: SyncRun | None) -> datetime | None:
    """Return when the first sync after the last good one was due, or None while none is."""
    if last_good is None:
        return source.created_at
    finished = ProfilesRun.objects.filter(
        project_id=source.activation.project_id,
        status=RunStatus.FINISHED,
        finished_at__gt=last_good.snapshot_at or last_good.queued_at,
    )
    if last_good.profiles_run_id:
        # The warehouse's clock may be ahead of ours: the run that was synced is no reason to sync again.
        finished = finished.exclude(pk=last_good.profiles_run_id)
    return finished.order_by("finished_at").values_list("finished_at", flat=True).first()
