"""Moving a destination: load its profiles into another place, switch applications to it, empty the old one.

Until the switch applications read the old place, and syncs keep it up to date; what is deleted through the API is
deleted in both. The place that is not served has a `RedisDestination` and sources of its own, so that everything that
holds for a sync (fences, witnesses, the base) holds there as well. `activation.move_steps` does the work.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from accounts import vault
from accounts.actors import Actor
from accounts.roles import Permission
from activation import destinations, syncs
from activation.destinations import DestinationInvalid
from activation.engine import places
from activation.engine.errors import DestinationError
from activation.engine.redis_settings import RedisSettings
from activation.models import DestinationMove, Reconcile, RedisDestination, RunState, Source, SyncRun

_State = DestinationMove.State
# When a place or a warehouse that could not be asked for a move is asked again.
ASKED_AGAIN_AFTER = timedelta(seconds=30)
# A run at the place that is not served that ended so waits for a person.
ENDED_BADLY = (RunState.FAILED, RunState.CANCELLED)


class MoveRefused(Exception):
    """The destination cannot be moved as things are; the message says what to do first."""


class NotToBeDone(Exception):
    """The move has gone on meanwhile."""

    def __init__(self) -> None:
        super().__init__("The move has gone on meanwhile. Look at where it is now.")


def problem_with(settings: RedisSettings, destination: RedisDestination) -> str:
    """Look at a new place before anything is loaded into it; return what is wrong with it, or nothing.

    A place that is the old one under another name, or holds a copy of it, would be emptied or left with strays.
    """
    allow_private, forbidden = django_settings.ALLOW_PRIVATE_ADDRESSES, destinations.forbidden_addresses()
    ids = (destination.workspace_id, destination.public_id)
    try:
        here = destinations.settings_of(destination)
        if places.are_one(settings, here, ids=ids, allow_private=allow_private, forbidden=forbidden):
            return "This is the place where the profiles are now, under another name. Choose another one."
        held = places.holds_marker(
            settings,
            ids=ids,
            sources=list(destination.sources.values_list("public_id", flat=True)),
            allow_private=allow_private,
            forbidden=forbidden,
        )
    except (DestinationError, vault.SecretUnreadable) as error:
        return str(error)
    if held:
        return "This place holds a copy of the destination's profiles already. Empty it first, or choose another one."
    return ""


@transaction.atomic
def start(
    destination: RedisDestination,
    *,
    settings: Mapping[str, Any],
    credentials: Mapping[str, Any],
    by: Actor,
    now: datetime,
) -> DestinationMove:
    """Begin to move a destination to the place that `settings` and `credentials` lead to; look at it first.

    Raises `PermissionRefused`, `DestinationInvalid`, `MoveRefused`.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    verify(destination, settings=settings, credentials=credentials)
    try:
        with transaction.atomic():
            move = DestinationMove.objects.create(
                destination=destination,
                origin=destination.settings.get("address", ""),
                target=settings["address"],
                requested_by=by.name,
                created_at=now,
            )
            RedisDestination.every_place.create(
                organisation=destination.organisation,
                public_id=destination.public_id,
                workspace_id=destination.workspace_id,
                name=destination.name,
                settings=dict(settings),
                credentials=vault.encrypt(json.dumps(dict(credentials))),
                rows_per_second=destination.rows_per_second,
                other_place_of=destination,
                created_at=now,
            )
    except IntegrityError:
        raise MoveRefused(f"{destination.name} is being moved already.") from None
    reopen(destination)
    record("destination_move_started", move, {"settings": dict(settings)}, by=by, now=now)
    return move


def verify(destination: RedisDestination, *, settings: Mapping[str, Any], credentials: Mapping[str, Any]) -> None:
    """Check what can be seen without a connection. Raises `DestinationInvalid`, `MoveRefused`."""
    errors = destinations.settings_errors(settings, credentials)
    if errors:
        raise DestinationInvalid(errors)
    if destinations.same_place(destination.settings, settings):
        raise DestinationInvalid({"address": "The profiles are in this place already."})
    if open_move(destination) is not None:
        raise MoveRefused(f"{destination.name} is being moved already.")
    if destination.reconciles.filter(state__in=Reconcile.OPEN).exists():
        raise MoveRefused("A Reconcile is open. Finish or stop it first.")
    hindrances = hindrances_of(destination)
    if hindrances:
        raise MoveRefused(" ".join(hindrances))


def hindrances_of(destination: RedisDestination) -> list[str]:
    """Say which sources of a destination cannot be loaded anywhere, and what to do about each."""
    found = []
    hindering = Q(activation__enabled=False) | ~Q(status=Source.Status.ACTIVE)
    left = Source.objects.filter(hindering, destination=destination).exclude(status=Source.Status.REMOVED)
    for source in left.select_related("activation__project").order_by("pk"):
        if source.status != Source.Status.ACTIVE:
            found.append(f"{source} is not synced any more: remove its profiles, or bring its view back.")
        else:
            found.append(f"The sync of {source.activation.project.name} is off: turn it on, or remove its profiles.")
    return list(dict.fromkeys(found))


@transaction.atomic
def cancel(move: DestinationMove, *, by: Actor, now: datetime) -> None:
    """Stay with the old place; what was loaded into the new one is removed.

    Raises `PermissionRefused`, `NotToBeDone`.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    before = DestinationMove.objects.filter(pk=move.pk, state__in=DestinationMove.BEFORE_SWITCH)
    if not before.update(state=_State.CANCELLING):
        raise NotToBeDone
    record("destination_move_cancelled", move, {}, by=by, now=now)


@transaction.atomic
def try_again(move: DestinationMove, *, by: Actor, now: datetime) -> int:
    """Start what failed at the place that is not served once more; return how many syncs that are.

    Raises `PermissionRefused`, `NotToBeDone`.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    present = hold(move)
    if present is None or present.left_behind:
        raise NotToBeDone
    failed = [run for source in others_of(move) if (run := newest_run(source)) and run.state in ENDED_BADLY]
    if not failed:
        raise NotToBeDone
    for run in failed:
        queue(run.source, kind=SyncRun.Kind(run.kind), full_reason=run.full_reason, by=by.name, now=now)
    record("destination_move_tried_again", move, {"syncs": len(failed)}, by=by, now=now)
    return len(failed)


@transaction.atomic
def leave_behind(move: DestinationMove, *, by: Actor, now: datetime) -> None:
    """Have a move end without removing what is left at the place that is not served, for one that is gone for good.

    Raises `PermissionRefused`, `NotToBeDone`.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    removing = DestinationMove.objects.filter(
        pk=move.pk, state__in=(_State.REMOVING, _State.CANCELLING), left_behind=False
    )
    if not removing.update(left_behind=True, not_before=now):
        raise NotToBeDone
    for source in others_of(move):
        active = syncs.active_run(source)
        if active is not None:
            syncs.stop(active, by=by, now=now)
    record("destination_move_left_behind", move, {}, by=by, now=now)


def hold(move: DestinationMove) -> DestinationMove | None:
    """Return an open move as it is now, held until the transaction ends; None once it has ended.

    Before anything else is locked: so that steps of a move, and what people do about it, come one after the other.
    """
    rows = DestinationMove.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("destination__organisation").filter(pk=move.pk, state__in=DestinationMove.OPEN).first()


def take_turn(move: DestinationMove, *, now: datetime) -> bool:
    """Tell whether servers may be asked for a move now: by one process at a time, and not all the time."""
    due = DestinationMove.objects.filter(pk=move.pk, state=move.state, not_before__lte=now)
    return bool(due.update(not_before=now + ASKED_AGAIN_AFTER))


def open_move(destination: RedisDestination) -> DestinationMove | None:
    """Return the destination's move that has not ended."""
    return destination.moves.filter(state__in=DestinationMove.OPEN).first()


def newest(destination: RedisDestination) -> DestinationMove | None:
    """Return the destination's newest move."""
    return destination.moves.order_by("-created_at", "-pk").first()


def others_of(move: DestinationMove) -> list[Source]:
    """Return the sources that stand for the place that is not served."""
    found = Source.every_place.filter(destination__other_place_of=move.destination_id).select_related(
        "other_place_of__base_run", "base_run", "activation__project__organisation", "destination"
    )
    return list(found.order_by("pk"))


def newest_run(source: Source) -> SyncRun | None:
    """Return a source's newest run."""
    return SyncRun.objects.filter(source=source).select_related("source").order_by("-pk").first()


def queue(source: Source, *, kind: SyncRun.Kind, full_reason: str, by: str, now: datetime) -> None:
    """Insert a run at the place that is not served. Raises `IntegrityError` while the source has an active run."""
    SyncRun.objects.create(
        source=source,
        kind=kind,
        full_reason=full_reason,
        trigger=SyncRun.Trigger.MOVE,
        requested_by=by,
        queued_at=now,
        not_before=now,
    )


def close(move: DestinationMove, *, now: datetime) -> None:
    """End a move whose other place is done with: forget that place."""
    ended = _State.CANCELLED if move.state == _State.CANCELLING else _State.DONE
    DestinationMove.objects.filter(pk=move.pk).update(state=ended, finished_at=now)
    Source.every_place.filter(destination__other_place_of=move.destination_id).delete()
    RedisDestination.every_place.filter(other_place_of=move.destination_id).delete()
    reopen(move.destination)


def reopen(destination: RedisDestination) -> None:
    """Have every process open the destination anew within a second."""
    RedisDestination.objects.filter(pk=destination.pk).update(version=F("version") + 1)


def record(action: str, move: DestinationMove, details: dict[str, object], *, by: Actor, now: datetime) -> None:
    """Write the audit row of something done about a move."""
    destinations.record(action, move.destination, by=by, now=now, details={**details, "move": move.public_id})
