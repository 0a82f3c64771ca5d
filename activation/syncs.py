"""Sync runs as people and other code ask for them: start one, stop it, see how far it is, how it ended.

The row is the queue: `start` inserts a QUEUED run and the edge that called it sends a wake-up; a lost or doubled
wake-up is harmless, because a run is claimed by a conditional UPDATE.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import follow_ups, run_states
from activation.follow_ups import FollowUp
from activation.models import ACTIVE_STATES, DestinationMove, RunState, Source, SyncRun
from projects import runs as profiles_runs
from projects.models import ProfilesRun

# Why a run is full when somebody asked for that.
REQUESTED = "requested"


class AlreadyRunning(Exception):
    """The source has an active run; a second one would write over it."""

    def __init__(self, source: Source) -> None:
        super().__init__(f"A sync of {source.feature_view} by {source.id_type} is running. Wait until it has ended.")
        self.source = source


class SourceRetired(Exception):
    """The source is no longer part of the project's specification, or the sync is turned off."""

    def __init__(self, source: Source) -> None:
        why = "The project does not serve it: bring it back in pb_project.yaml or on the Entities tab."
        if source.status == Source.Status.ACTIVE:
            why = "The project's sync is turned off: turn it on first."
        super().__init__(f"{source.feature_view} by {source.id_type} is not synced any more. {why}")
        self.source = source


def start(
    source: Source,
    *,
    trigger: SyncRun.Trigger,
    by: Actor,
    now: datetime,
    full: bool = False,
    profiles_run: ProfilesRun | None = None,
) -> SyncRun:
    """Queue a run of a source; unless it is to be full, its snapshot decides what it is.

    It covers the project's newest finished Profiles run, and a follow-up that was asked for and is not started yet.
    Raises `PermissionRefused`, `SourceRetired`, and `AlreadyRunning` when the source has an active run.
    """
    by.require(Permission.RUN_SYNCS)
    _require_served(source)
    with transaction.atomic():
        waiting = Source.every_place.get(pk=source.pk)
        pending = FollowUp.of(waiting)
        asked = FollowUp(trigger, full or (pending is not None and pending.full), by.name)
        run = _queue(source, asked, profiles_run=profiles_run, now=now)
        if pending is not None:
            follow_ups.replace(waiting, None)
        _record("sync.started", source, by=by, now=now, run=run.public_id, trigger=trigger.value, full=asked.full)
    return run


def request(
    source: Source,
    *,
    trigger: SyncRun.Trigger,
    by: Actor,
    now: datetime,
    full: bool = False,
    profiles_run: ProfilesRun | None = None,
) -> SyncRun | None:
    """Queue a run, or ask for one after the active one: however many ask meanwhile, one follows (then None).

    Raises `PermissionRefused`, `SourceRetired`.
    """
    while True:
        try:
            return start(source, trigger=trigger, by=by, now=now, full=full, profiles_run=profiles_run)
        except AlreadyRunning:
            if _ask_for_follow_up(source, FollowUp(trigger, full, by.name), by=by, now=now):
                return None


def start_follow_up(source: Source, *, now: datetime) -> SyncRun | None:
    """Queue the run that was asked for while another was active; None when that is not to be done or done already.

    `source` says what was read: whoever changes the follow-up first has it.
    """
    asked = FollowUp.of(source)
    if asked is None:
        return None
    by = Actor.system(source.activation.project.organisation)
    try:
        # The run first and the source second, as everywhere: in the other order two transactions could wait for
        # each other.
        with transaction.atomic():
            run = _queue(source, asked, profiles_run=None, now=now)
            follow_ups.take(source)
            _record("sync.started", source, by=by, now=now, run=run.public_id, trigger=run.trigger, full=asked.full)
    except (AlreadyRunning, follow_ups.Taken):
        return None
    return run


def start_all(
    sources: list[Source],
    *,
    trigger: SyncRun.Trigger,
    by: Actor,
    now: datetime,
    full: bool = False,
    profiles_run: ProfilesRun | None = None,
) -> list[SyncRun]:
    """Queue a run of each source that has none active; return those queued."""
    runs = []
    for source in sources:
        try:
            runs.append(start(source, trigger=trigger, by=by, now=now, full=full, profiles_run=profiles_run))
        except AlreadyRunning:
            continue
    return runs


def request_all(
    sources: Sequence[Source], *, trigger: SyncRun.Trigger, by: Actor, now: datetime, full: bool = False
) -> list[SyncRun]:
    """Queue a run of each source, or have it follow the active one; return those queued. Raises as `request` does."""
    asked = [request(source, trigger=trigger, by=by, now=now, full=full) for source in sources]
    return [run for run in asked if run is not None]


def stop(run: SyncRun, *, by: Actor, now: datetime) -> bool:
    """*Stop Now*: end an active run wherever it is, and drop what was to follow it; tell whether it was active.

    Workers that are on it lose their claim. What they have in flight is kept out by the fences, which `recovery`
    closes: `fences_open` stays set until then. Raises `PermissionRefused`.
    """
    by.require(Permission.RUN_SYNCS)
    while True:
        present = SyncRun.objects.select_related("source").get(pk=run.pk)
        if present.state not in ACTIVE_STATES:
            return False
        with transaction.atomic():
            # `not_before` may lie ahead, from a fault that was being waited out; the fences are closed at once.
            ended = {"stopped_by": by.name, "error_code": "", "error": "", "not_before": now}
            if run_states.move(present, RunState.CANCELLED, now=now, **ended):
                Source.every_place.filter(pk=present.source_id).update(follow_up={})
                _record("sync.stopped", present.source, by=by, now=now, run=run.public_id)
                return True


def _queue(source: Source, asked: FollowUp, *, profiles_run: ProfilesRun | None, now: datetime) -> SyncRun:
    """Insert the row that is the queue. Raises `AlreadyRunning`."""
    covered = profiles_run or profiles_runs.latest_finished(source.activation.project)
    try:
        with transaction.atomic():
            run = SyncRun.objects.create(
                source=source,
                kind=SyncRun.Kind.FULL if asked.full else SyncRun.Kind.INCREMENTAL,
                full_reason=REQUESTED if asked.full else "",
                trigger=asked.trigger,
                requested_by=asked.by,
                profiles_run=covered,
                queued_at=now,
                not_before=now,
            )
    except IntegrityError:
        raise AlreadyRunning(source) from None
    if covered is not None:
        Source.every_place.filter(pk=source.pk).update(seen_profiles_run=covered)
    return run


def _ask_for_follow_up(source: Source, asked: FollowUp, *, by: Actor, now: datetime) -> bool:
    """Merge a request into the source's follow-up while a run is active; tell whether that could be done."""
    present = Source.every_place.get(pk=source.pk)
    pending = FollowUp.of(present)
    merged = pending.joined(asked) if pending else asked
    active = SyncRun.objects.filter(source=OuterRef("pk"), state__in=ACTIVE_STATES)
    with transaction.atomic():
        if not follow_ups.replace(present, merged, Exists(active)):
            return False
        if merged != pending:
            details = {"trigger": asked.trigger.value, "full": merged.full}
            _record("sync.follow_up_requested", source, by=by, now=now, **details)
    return True


def _require_served(source: Source) -> None:
    if not is_served(source):
        raise SourceRetired(source)


def _record(action: str, source: Source, *, by: Actor, now: datetime, **details: object) -> None:
    audit.record(
        action,
        by=by,
        target_type="source",
        target_id=source.served.public_id,
        target=str(source),
        details=details,
        now=now,
    )


def claimable(*, now: datetime) -> QuerySet[SyncRun]:
    """Return the runs that wait for a worker. While a destination is about to switch, those into it wait for that."""
    queued = SyncRun.objects.filter(state=RunState.QUEUED, not_before__lte=now)
    return queued.exclude(source__destination__moves__state=DestinationMove.State.SWITCHING)


def claim(run_id: int, *, now: datetime) -> SyncRun | None:
    """Take a waiting run for this worker; None when it is not there to take. Its attempt moves on."""
    related = "source__activation__project__warehouse", "source__destination__organisation"
    run = claimable(now=now).filter(pk=run_id).select_related(*related).first()
    if run is None or not run_states.move(run, RunState.SNAPSHOT, now=now, attempt=run.attempt + 1):
        return None
    return run


def is_served(source: Source) -> bool:
    """Tell whether the source may be synced: it is in the specification and the sync is on."""
    return source.status == Source.Status.ACTIVE and source.activation.enabled


def active_run(source: Source) -> SyncRun | None:
    """Return the source's active run, if it has one."""
    return source.runs.filter(state__in=ACTIVE_STATES).first()
