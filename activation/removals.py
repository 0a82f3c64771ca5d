"""Removing a source's profiles from the destination: exactly our fields, driven by what the warehouse knows of them.

A removal is a sync run of its own kind, behind the same fences and with the same proof at its end. What it has removed
is not served any more; the source's row stays, for its history, and returns when its view does.

A Redis that is gone for good ends no removal: what was in it is left there. Should it come back after all, the source's
next sync must still know whom it held, so the tables that name them are kept as long as ids that a removal deleted.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import source_tables, syncs
from activation.models import ACTIVE_STATES, DirtyId, Source, SyncPartition, SyncRun


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


class NotStuck(Exception):
    """No removal of the source's profiles was tried in vain, so nothing is to be left in Redis."""

    def __init__(self, source: Source) -> None:
        super().__init__(
            f"No removal of the profiles of {source.feature_view} by {source.id_type} was tried in vain. Remove them "
            "first: only what cannot be removed is left in Redis."
        )


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


def stuck(sources: QuerySet[Source]) -> QuerySet[Source]:
    """Return the sources whose removal failed, was stopped, or is being tried again."""
    of_run = SyncPartition.objects.filter(run=OuterRef("pk"))
    tried_again = Q(retries__gt=0) | Exists(of_run.filter(Q(retries__gt=0) | ~Q(error_code="")))
    going_well = SyncRun.objects.filter(source=OuterRef("pk"), state__in=ACTIVE_STATES).exclude(tried_again)
    return sources.filter(~Exists(going_well), status=Source.Status.REMOVING)


def is_stuck(source: Source) -> bool:
    """Tell whether what the source wrote may be left in Redis."""
    return stuck(Source.objects.filter(pk=source.pk)).exists()


def stuck_beside(source: Source) -> list[Source]:
    """List the other sources that cannot be removed from the same destination."""
    others = stuck(Source.objects.filter(destination=source.destination_id)).exclude(pk=source.pk)
    return list(others.order_by("entity", "feature_view", "pk"))


def require_stuck(source: Source) -> None:
    """Raise `StillServed`, `NothingLeft` or `NotStuck` where what the source wrote may not be left in Redis."""
    present = Source.objects.select_related("activation").get(pk=source.pk)
    if syncs.is_served(present):
        raise StillServed(present)
    if present.status == Source.Status.REMOVED:
        raise NothingLeft(present)
    if not is_stuck(present):
        raise NotStuck(present)


@transaction.atomic
def leave_behind(source: Source, *, by: Actor, now: datetime) -> None:
    """Give a source's removal up and let it count as done, for a Redis that is gone for good.

    Raises `PermissionRefused`, `StillServed`, `NothingLeft`, `NotStuck`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    require_stuck(source)
    active = syncs.active_run(source)
    if active is not None:
        syncs.stop(active, by=by, now=now)
    # The run first and the source second, as everywhere; a run that was ended here puts no more tables on record.
    present = Source.objects.select_for_update(of=("self",), no_key=True).get(pk=source.pk)
    require_stuck(present)
    _forget_base(present, now=now)
    source_tables.note(present, now=now)
    newest = present.runs.filter(kind=SyncRun.Kind.REMOVAL).order_by("-pk").values("pk")[:1]
    SyncRun.objects.filter(pk__in=newest).update(tables_left=True, not_before=now)
    DirtyId.objects.filter(source=present).delete()
    details = {"profiles": present.base_rows, "destination": present.destination.public_id}
    _record("source_left_behind", present, details, by=by, now=now)


def leave_all_behind(sources: Sequence[Source], *, by: Actor, now: datetime) -> None:
    """Leave what each source wrote that is not removed yet: all of it or nothing. Raises as `leave_behind` does."""
    with transaction.atomic():
        for source in sources:
            if source.status != Source.Status.REMOVED:
                leave_behind(source, by=by, now=now)


def _forget_base(source: Source, *, now: datetime) -> None:
    """Count on nothing in the destination any more; the next run is full, and deletes whom the old tables name."""
    kept = [source.base_snapshot] if source.base_snapshot else []
    Source.objects.filter(pk=source.pk).update(
        status=Source.Status.REMOVED,
        left_at=now,
        base_snapshot="",
        base_rows=0,
        base_run=None,
        base_evictions={},
        dirty_tables=list(dict.fromkeys([*kept, *source.dirty_tables])),
        confirmed_base="",
        confirmed_deletes=None,
        confirmed_choice="",
        follow_up={},
    )


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
    _record("source_removal_started", source, {"run": run.public_id, "profiles": source.base_rows}, by=by, now=now)
    return run


def _record(action: str, source: Source, details: dict[str, object], *, by: Actor, now: datetime) -> None:
    audit.record(
        action,
        by=by,
        target_type="source",
        target_id=source.public_id,
        target=str(source),
        details=details,
        now=now,
    )
