"""The guard against mass deletion: a run that would delete too much stops before it writes, and asks an Admin.

A view that was emptied or cut by mistake must not empty Redis. A confirmation is good for one base and at most so many
deletes, so that it cannot let pass what nobody has seen.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import syncs
from activation.models import Activation, GuardChoice, RunState, Source, SyncRun

CODE = "needs_confirmation"


class NeedsConfirmation(Exception):
    """A run would delete more than the guard lets pass. Nothing was written."""

    def __init__(self, *, gone: int, base_rows: int) -> None:
        share = f" ({100 * gone / base_rows:.0f} %)" if base_rows else ""
        super().__init__(
            f"This sync would delete {gone:,} of {base_rows:,} profiles{share}, because they are not in the view any "
            "more. Nothing was changed. Look at the view, then decide on this sync's page what to do."
        )
        self.gone, self.base_rows = gone, base_rows


class NothingToConfirm(Exception):
    """The run does not wait for a confirmation, or the source has been synced since."""

    def __init__(self) -> None:
        super().__init__("This sync does not wait for a confirmation any more. Look at the source's newest sync.")


@dataclass(frozen=True)
class Limits:
    """What may be deleted without asking: up to `percent` of the base, and fewer than `rows` in any case."""

    percent: int
    rows: int

    @classmethod
    def of(cls, activation: Activation) -> "Limits":
        """Return an activation's limits."""
        return cls(activation.guard_percent, activation.guard_rows)

    def pass_unasked(self, *, gone: int, base_rows: int, snapshot_rows: int) -> bool:
        """Tell whether so many deletes need no confirmation."""
        if gone and not snapshot_rows:
            return False
        return gone < self.rows or gone * 100 <= self.percent * base_rows


def keeps_everybody(source: Source) -> bool:
    """Tell whether an Admin chose to apply the next run without deletes, for the base there is."""
    return source.confirmed_choice == GuardChoice.KEEP and source.confirmed_base == source.base_snapshot


def check(source: Source, *, gone: int, base_rows: int, snapshot_rows: int) -> None:
    """Raise `NeedsConfirmation` unless so many deletes may be made, or were confirmed."""
    limits = Limits.of(source.activation)
    if limits.pass_unasked(gone=gone, base_rows=base_rows, snapshot_rows=snapshot_rows):
        return
    confirmed = source.confirmed_choice == GuardChoice.DELETE and source.confirmed_base == source.base_snapshot
    if not confirmed or gone > (source.confirmed_deletes or 0):
        raise NeedsConfirmation(gone=gone, base_rows=base_rows)


@transaction.atomic
def confirm(run: SyncRun, *, choice: GuardChoice, by: Actor, now: datetime) -> SyncRun:
    """Say what to do about a run that the guard stopped, and start the run that does it: a full one if asked for.

    Raises `PermissionRefused`, `NothingToConfirm`, `AlreadyRunning`, `SourceRetired`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    source = Source.every_place.select_related("activation__project").get(pk=run.source_id)
    if not is_waiting(run, source):
        raise NothingToConfirm
    # The run first and the source second, as everywhere, so that no two transactions wait for each other.
    full = run.full_reason == syncs.REQUESTED
    started = syncs.start(source, trigger=SyncRun.Trigger.PERSON, by=by, now=now, full=full)
    Source.every_place.filter(pk=source.pk, base_snapshot=run.base_snapshot).update(
        confirmed_base=run.base_snapshot, confirmed_deletes=run.deletes_planned, confirmed_choice=choice
    )
    audit.record(
        "sync.deletes_confirmed",
        by=by,
        target_type="source",
        target_id=source.served.public_id,
        target=str(source),
        details={"run": run.public_id, "choice": choice.value, "deletes": run.deletes_planned or 0},
        now=now,
    )
    return started


def is_waiting(run: SyncRun, source: Source) -> bool:
    """Tell whether a run waits for a confirmation that would still mean something."""
    stopped = run.state == RunState.FAILED and run.error_code == CODE
    if not stopped or run.base_snapshot != source.base_snapshot or _came_later(run):
        return False
    decided = source.confirmed_choice == GuardChoice.DELETE and source.confirmed_base == source.base_snapshot
    return not decided or (source.confirmed_deletes or 0) < (run.deletes_planned or 0)


def configure(activation: Activation, *, percent: int, rows: int, by: Actor, now: datetime) -> None:
    """Set the guard's limits. Raises `PermissionRefused`."""
    by.require(Permission.MANAGE_ACTIVATION)
    Activation.objects.filter(pk=activation.pk).update(guard_percent=percent, guard_rows=rows)
    project = activation.project
    audit.record(
        "guard_changed",
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        details={"percent": percent, "rows": rows},
        now=now,
    )


def _came_later(run: SyncRun) -> bool:
    """Tell whether a later run says more; one that was stopped does not."""
    later = SyncRun.objects.filter(source_id=run.source_id, pk__gt=run.pk)
    return later.exclude(state=RunState.CANCELLED).exists()
