"""*Reconcile* as people ask for it: have a destination looked through, see what no source accounts for, confirm, stop.

Nothing is deleted from here, and nothing by the look itself. Ids that a source's base does not have become one of its
tables of ids out of step, and its next sync handles those as it does after a failed one: it writes the ones that are
in the view by then and deletes the others, behind its fence. That is why it is safe beside syncs: whether an id is to
go is decided by the sync's own snapshot, never by what was compared earlier, so no more is deleted than was confirmed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.actors import Actor
from accounts.roles import Permission
from activation import destinations, moves
from activation.models import Reconcile, RedisDestination, Source, SyncRun

# After this a preview says too little about what is there, and its tables are dropped.
PREVIEW_KEPT = timedelta(days=7)
_ADVISED = "reconcile_advised"
_State = Reconcile.State


class AlreadyReconciling(Exception):
    """The destination is being looked through already, or a look waits for a confirmation."""

    def __init__(self, destination: RedisDestination) -> None:
        super().__init__(f"{destination.name} is being looked through already. Wait for it, or stop it first.")


class NothingToReconcile(Exception):
    """No project has ever synced to the destination, so there is nothing to compare its keys with."""

    def __init__(self, destination: RedisDestination) -> None:
        super().__init__(f"No project syncs to {destination.name} yet, so there is nothing to compare with.")


class DestinationMoves(Exception):
    """The destination is being moved, and what is found in one place says nothing about the other."""

    def __init__(self, destination: RedisDestination) -> None:
        super().__init__(f"{destination.name} is being moved. Reconcile it once the move has ended.")


class NotWaiting(Exception):
    """The look does not wait for a confirmation, or for something else than the person saw."""

    def __init__(self) -> None:
        super().__init__("This does not wait for a confirmation any more. Look at the newest numbers.")


@dataclass(frozen=True)
class View:
    """A feature view by one id type, whose fields no source writes any more."""

    entity: str
    id_type: str
    feature_view: str


@transaction.atomic
def request(destination: RedisDestination, *, also: Sequence[View] = (), by: Actor, now: datetime) -> Reconcile:
    """Ask for a look through a destination; the edge sends the wake-up.

    The views `also` are counted for removal as those of a removed source: choose them from an earlier look.
    Raises `PermissionRefused`, `AlreadyReconciling`, `NothingToReconcile`, `DestinationMoves`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    if not destination.sources.exists():
        raise NothingToReconcile(destination)
    if moves.open_move(destination) is not None:
        raise DestinationMoves(destination)
    for view in also:
        _take_on(destination, view, now=now)
    try:
        with transaction.atomic():
            row = Reconcile.objects.create(
                destination=destination, requested_by=by.name, created_at=now, not_before=now
            )
    except IntegrityError:
        raise AlreadyReconciling(destination) from None
    _record("reconcile_started", row, {"views": len(also)}, by=by, now=now)
    return row


@transaction.atomic
def confirm(row: Reconcile, *, removing: int, by: Actor, now: datetime) -> None:
    """Have what was found removed, `removing` things altogether as the person saw them.

    Raises `PermissionRefused`, `NotWaiting`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    present = Reconcile.objects.select_for_update().get(pk=row.pk)
    if removing != to_remove(present):
        raise NotWaiting
    waiting = Reconcile.objects.filter(pk=row.pk, state=_State.READY)
    if not waiting.update(state=_State.REMOVING, confirmed_by=by.name, confirmed_at=now, not_before=now):
        raise NotWaiting
    details = {"profiles": strays(present), "bookkeeping": len(present.bookkeeping)}
    _record("reconcile_confirmed", row, details, by=by, now=now)


@transaction.atomic
def cancel(row: Reconcile, *, by: Actor, now: datetime) -> bool:
    """End a look that nobody has confirmed; tell whether there was one to end. Raises `PermissionRefused`."""
    by.require(Permission.MANAGE_ACTIVATION)
    ended = Reconcile.objects.filter(pk=row.pk, state__in=(_State.QUEUED, _State.LOOKING, _State.READY))
    if not ended.update(state=_State.CANCELLED, finished_at=now, heartbeat_at=None):
        return False
    _record("reconcile_stopped", row, {}, by=by, now=now)
    return True


def newest(destination: RedisDestination) -> Reconcile | None:
    """Return the destination's newest look."""
    return destination.reconciles.order_by("-created_at", "-pk").first()


def strays(row: Reconcile) -> int:
    """Return how many profiles of sources a look found that their bases do not have."""
    return sum(int(finding.get("strays", 0)) for finding in row.findings.values())


def to_remove(row: Reconcile) -> int:
    """Return how many things a confirmation would remove."""
    return strays(row) + len(row.bookkeeping)


def unclaimed(row: Reconcile) -> list[tuple[View, int]]:
    """Return the views that no source writes and whose id type is known, each with its count of fields."""
    return [
        (View(entity, id_type, view), int(count)) for entity, id_type, view, count in row.unclaimed if entity and view
    ]


def unknown(row: Reconcile) -> int:
    """Count the fields under ids of no known type: what cannot be told apart is left alone."""
    return sum(int(count) for entity, _, view, count in row.unclaimed if not (entity and view))


def advice(destination: RedisDestination) -> str:
    """Say why a look through the destination is worth while now; '' when nothing speaks for it."""
    last = destination.reconciles.filter(state=_State.DONE).order_by("-created_at").first()
    runs = SyncRun.objects.filter(source__destination=destination).exclude(warnings=[])
    if last is not None:
        runs = runs.filter(queued_at__gt=last.created_at)
    if any(_ADVISED in warnings for warnings in runs.values_list("warnings", flat=True)[:100]):
        return (
            "The tables that name profiles were gone from the warehouse. Profiles that left a view meanwhile may "
            "still be in Redis."
        )
    left = destination.sources.filter(destination__server_look__told_at__gt=F("left_at"))
    if last is not None:
        left = left.filter(left_at__gt=last.created_at)
    if left.exists():
        return "Profiles were left in this Redis, which was said to be gone for good, and it answers."
    adopted = destination.workspace_id != destination.organisation.public_id
    if adopted and last is None:
        return (
            "The data in this Redis was adopted. Profiles of people who left a view before that, and fields of views "
            "that nobody syncs, may still be there."
        )
    return ""


def _take_on(destination: RedisDestination, view: View, *, now: datetime) -> None:
    """See to it that a view that nobody writes has a source, as one whose profiles are removed."""
    of_view = Source.objects.filter(
        destination=destination, entity=view.entity, id_type=view.id_type, feature_view=view.feature_view
    )
    activation = destination.activations.order_by("pk").first()
    if activation is None or of_view.exists():
        return
    Source.objects.create(
        activation=activation,
        destination=destination,
        entity=view.entity,
        id_type=view.id_type,
        feature_view=view.feature_view,
        relation="",
        id_column="",
        status=Source.Status.REMOVED,
        created_at=now,
    )


def _record(action: str, row: Reconcile, details: Mapping[str, object], *, by: Actor, now: datetime) -> None:
    destinations.record(action, row.destination, by=by, now=now, details={"reconcile": row.public_id, **details})
