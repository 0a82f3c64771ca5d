"""Activation learns by looking: new Profiles runs start syncs, a changed specification changes the sources."""

from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from accounts.actors import Actor
from activation import syncs
from activation.models import ACTIVE_STATES, Activation, Source, SyncRun
from projects import runs


def start_syncs_of_new_runs(*, now: datetime) -> list[SyncRun]:
    """Queue a sync of every source that has not seen its project's newest finished Profiles run.

    A source with an active run is left for later: however many Profiles runs finish meanwhile, one sync follows.
    """
    started: list[SyncRun] = []
    for activation in Activation.objects.filter(enabled=True).select_related("project__organisation"):
        newest = runs.latest_finished(activation.project)
        if newest is None:
            continue
        behind = _idle_sources(activation).exclude(seen_profiles_run=newest)
        started += syncs.start_all(
            list(behind.select_related("activation")),
            trigger=SyncRun.Trigger.PROFILES_RUN,
            by=Actor.system(activation.project.organisation),
            now=now,
            profiles_run=newest,
        )
    return started


def _idle_sources(activation: Activation) -> QuerySet[Source]:
    active = SyncRun.objects.filter(source=OuterRef("pk"), state__in=ACTIVE_STATES)
    return Source.objects.filter(~Exists(active), activation=activation, status=Source.Status.ACTIVE)
