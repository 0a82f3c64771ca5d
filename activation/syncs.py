"""Sync runs as people and other code ask for them: start one, see how far it is, how it ended.

The row is the queue: `start` inserts a QUEUED run and the edge that called it sends a wake-up; a lost or doubled
wake-up is harmless, because a run is claimed by a conditional UPDATE.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Sum

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import run_states
from activation.models import ACTIVE_STATES, RunState, Source, SyncRun
from projects.models import ProfilesRun


class AlreadyRunning(Exception):
    """The source has an active run; a second one would write over it."""

    def __init__(self, source: Source) -> None:
        super().__init__(f"A sync of {source.feature_view} by {source.id_type} is running. Wait until it has ended.")
        self.source = source


class SourceRetired(Exception):
    """The source is no longer part of the project's specification, or the sync is turned off."""

    def __init__(self, source: Source) -> None:
        super().__init__(f"{source.feature_view} by {source.id_type} is not synced any more.")
        self.source = source


def start(
    source: Source,
    *,
    trigger: SyncRun.Trigger,
    by: Actor,
    now: datetime,
    profiles_run: ProfilesRun | None = None,
) -> SyncRun:
    """Queue a full run of a source.

    Raises `PermissionRefused`, `SourceRetired`, and `AlreadyRunning` when the source has an active run.
    """
    by.require(Permission.RUN_SYNCS)
    if source.status != Source.Status.ACTIVE or not source.activation.enabled:
        raise SourceRetired(source)
    try:
        with transaction.atomic():
            run = SyncRun.objects.create(
                source=source,
                trigger=trigger,
                requested_by=by.name,
                profiles_run=profiles_run,
                queued_at=now,
                not_before=now,
            )
            if profiles_run:
                Source.objects.filter(pk=source.pk).update(seen_profiles_run=profiles_run)
    except IntegrityError:
        raise AlreadyRunning(source) from None
    audit.record(
        "sync.started",
        by=by,
        target_type="source",
        target_id=source.public_id,
        target=str(source),
        details={"run": run.public_id, "trigger": trigger.value},
        now=now,
    )
    return run


def start_all(
    sources: list[Source],
    *,
    trigger: SyncRun.Trigger,
    by: Actor,
    now: datetime,
    profiles_run: ProfilesRun | None = None,
) -> list[SyncRun]:
    """Queue a run of each source that has none active; return those queued."""
    runs = []
    for source in sources:
        try:
            runs.append(start(source, trigger=trigger, by=by, now=now, profiles_run=profiles_run))
        except AlreadyRunning:
            continue
    return runs


def claim(run_id: int, *, now: datetime) -> SyncRun | None:
    """Take a waiting run for this worker; None when it is not there to take. Its attempt moves on."""
    run = (
        SyncRun.objects.select_related("source__activation__project__warehouse", "source__destination__organisation")
        .filter(pk=run_id, state=RunState.QUEUED, not_before__lte=now)
        .first()
    )
    if run is None or not run_states.move(run, RunState.SNAPSHOT, now=now, attempt=run.attempt + 1):
        return None
    return run


def active_run(source: Source) -> SyncRun | None:
    """Return the source's active run, if it has one."""
    return source.runs.filter(state__in=ACTIVE_STATES).first()


@dataclass(frozen=True)
class Progress:
    """How far a run is, in rows."""

    done: int
    total: int | None
    written: int
    deleted: int
    suppressed: int
    failed: int
    rows_per_second: float | None
    seconds_left: float | None

    @property
    def percent(self) -> int | None:
        """Whole percent of the planned rows, or None while the plan is not known."""
        if self.total is None:
            return None
        return 100 if self.total == 0 else int(100 * self.done / self.total)


def progress(run: SyncRun, *, now: datetime) -> Progress:
    """Sum up a run's partitions: what they have acknowledged, how fast, how long it will take."""
    sums = run.partitions.aggregate(
        planned=Sum("rows_planned"),
        written=Sum("written"),
        deleted=Sum("deleted"),
        suppressed=Sum("suppressed"),
        failed=Sum("failed"),
    )
    counts = {name: value or 0 for name, value in sums.items()}
    total = None if sums["planned"] is None and run.rows_planned is None else counts["planned"]
    done = counts["written"] + counts["deleted"] + counts["suppressed"] + counts["failed"]
    rate = _rate(run, done=done, now=now)
    left = (max(total - done, 0) / rate) if rate and total is not None and run.state == RunState.LOADING else None
    return Progress(
        done=done,
        total=total,
        written=counts["written"],
        deleted=counts["deleted"],
        suppressed=counts["suppressed"],
        failed=counts["failed"],
        rows_per_second=rate,
        seconds_left=left,
    )


def _rate(run: SyncRun, *, done: int, now: datetime) -> float | None:
    if run.loading_at is None:
        return None
    seconds = ((run.finishing_at or run.finished_at or now) - run.loading_at).total_seconds()
    return done / seconds if seconds > 0 and done else None
