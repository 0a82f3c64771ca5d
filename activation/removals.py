"""Removing a source's profiles from the destination: exactly our fields, driven by what the warehouse knows of them.

A removal is a sync run of its own kind, behind the same fences and with the same proof at its end. What it has removed
is not served any more; the source's row stays, for its history, and returns when its view does.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import syncs
from activation.models import ACTIVE_STATES, Source, SyncRun


class StillServed(Exception):
    """The source is part of the project's specification and its sync is on."""

    def __init__(self, source: Source) -> None:
        super().__init__(
            f"{source.feature_view} by {source.id_type} is synced. Turn the sync off, or take the view out of the "
            "project's specification, before its profiles are removed."
        )


class NothingLeft(Exception):
    """The source's profiles were removed already."""

    def __init__(self, source: Source) -> None:
        super().__init__(f"The profiles of {source.feature_view} by {source.id_type} are removed already.")


def start(source: Source, *, by: Actor, now: datetime) -> SyncRun:
    """Queue the removal of a source's profiles; a sync of it that runs is stopped first.

    Raises `PermissionRefused`, `StillServed`, `NothingLeft`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    if syncs.is_served(source):
        raise StillServed(source)
    if source.status == Source.Status.REMOVED:
        raise NothingLeft(source)
    while True:
        active = syncs.active_run(source)
        if active is not None and active.kind == SyncRun.Kind.REMOVAL:
            if _takes_up(source):
                return active
            continue  # it ended meanwhile
        if active is not None:
            syncs.stop(active, by=by, now=now)
        try:
            return queue(source, trigger=SyncRun.Trigger.PERSON, by=by, now=now)
        except IntegrityError:
            continue  # a run was queued in between: it is stopped like the other


def start_all(sources: Sequence[Source], *, by: Actor, now: datetime) -> list[SyncRun]:
    """Queue the removal of the profiles of each source that may have any. Raises as `start` does."""
    return [start(source, by=by, now=now) for source in sources if source.status != Source.Status.REMOVED]


def has_left(source: Source) -> bool:
    """Tell whether a source that is not synced any more may have profiles in the destination that nobody removes."""
    if syncs.is_served(source) or source.status == Source.Status.REMOVED:
        return False
    return syncs.active_run(source) is None


def _takes_up(source: Source) -> bool:
    """Have the removal that runs be the source's end again, though the source had returned since it began."""
    active = SyncRun.objects.filter(source=OuterRef("pk"), state__in=ACTIVE_STATES, kind=SyncRun.Kind.REMOVAL)
    waiting = Source.every_place.filter(Exists(active), pk=source.pk)
    return bool(waiting.update(status=Source.Status.REMOVING, follow_up={}))


@transaction.atomic
def queue(source: Source, *, trigger: SyncRun.Trigger, by: Actor, now: datetime) -> SyncRun:
    """Insert the run of a removal. Raises `IntegrityError` while the source has an active run."""
    run = SyncRun.objects.create(
        source=source,
        kind=SyncRun.Kind.REMOVAL,
        trigger=trigger,
        requested_by=by.name,
        queued_at=now,
        not_before=now,
    )
    Source.every_place.filter(pk=source.pk).update(status=Source.Status.REMOVING, follow_up={})
    audit.record(
        "source_removal_started",
        by=by,
        target_type="source",
        target_id=source.public_id,
        target=str(source),
        details={"run": run.public_id, "profiles": source.base_rows},
        now=now,
    )
    return run
