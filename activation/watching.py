"""Activation learns by looking: new Profiles runs start syncs, and so does what was asked for while one was active."""

from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from accounts.actors import Actor
from activation import syncs
from activation.models import ACTIVE_STATES, Activation, Source, SyncRun
from projects import runs


def start_syncs_of_new_runs(*, now: datetime) -> list[SyncRun]:
    """Queue a sync of every source that has not seen its project's newest finished Profiles run.

    Only where the schedule says so: the others have times of their own (`activation.schedules`).
    A source with an active run is left for later: however many Profiles runs finish meanwhile, one sync follows.
    """
    started: list[SyncRun] = []
    for activation in Activation.objects.filter(enabled=True, schedule={}).select_related("project__organisation"):
        newest = runs.latest_finished(activation.project)
        if newest is None:
            continue
        behind = _idle_sources().filter(activation=activation).exclude(seen_profiles_run=newest)
        started += syncs.start_all(
            list(behind.select_related("activation")),
            trigger=SyncRun.Trigger.PROFILES_RUN,
            by=Actor.system(activation.project.organisation),
            now=now,
            profiles_run=newest,
        )
    return started


def start_follow_ups(*, now: datetime) -> list[SyncRun]:
    """Queue what was asked for while a run was active, once that one has ended: one run a source."""
    asked_for = _idle_sources().exclude(follow_up={}).filter(activation__enabled=True)
    sources = asked_for.select_related("activation__project__organisation")
    return [run for source in sources if (run := syncs.start_follow_up(source, now=now)) is not None]


def _idle_sources() -> QuerySet[Source]:
    active = SyncRun.objects.filter(source=OuterRef("pk"), state__in=ACTIVE_STATES)
    return Source.objects.filter(~Exists(active), status=Source.Status.ACTIVE)
