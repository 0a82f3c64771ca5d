"""The switch of a move: applications and syncs go to the new place from one moment to the next.

First the new place is asked whether it still holds what was loaded into it, and is told of every delete that has not
reached every place yet, so that an old place that is gone hinders nothing. Then, in one transaction, the two rows of
the destination exchange how they are reached, and each source exchanges what it knows of its place with the source
that stands for the other one. So from then on every sync, and every look-up within a second, goes to the new place,
and a removal empties the old one.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Value, When

from accounts.actors import Actor
from accounts.vault import SecretUnreadable
from activation import handles, moves, suppressions
from activation.engine.errors import DestinationError
from activation.handle import DestinationUnavailable
from activation.models import (
    ACTIVE_STATES,
    DestinationMove,
    DirtyId,
    RedisDestination,
    RunState,
    Source,
    Suppression,
    SyncRun,
)
from activation.run_resources import loader_of

_State = DestinationMove.State
_AWAY = (DestinationError, SecretUnreadable, DestinationUnavailable, handles.ServiceUnavailable)
# What a source knows of the place that it writes to.
_KNOWN_OF_PLACE = (
    "base_snapshot",
    "base_rows",
    "base_run_id",
    "base_evictions",
    "columns",
    "shape",
    "dirty_tables",
    "tombstones",
    "left_at",
)
log = structlog.get_logger(__name__)


class _NotYet(Exception):
    """Something has begun since it was looked at; the switch is undone and tried again."""


def switch(move: DestinationMove, *, now: datetime) -> bool:
    """Switch a move that is about to, unless something speaks against it; tell whether that was done.

    A new place that is away, or lost what was loaded, sends the move back to loading, so that syncs into the old place
    go on meanwhile.
    """
    others = moves.others_of(move)
    if _hindered(move, others) or not moves.take_turn(move, now=now):
        return False
    try:
        lost = [other for other in _loaded(others) if not _holds_base(other)]
        reached = suppressions.delete_elsewhere(move.destination)
    except _AWAY as error:
        log.info("new_place_away", move=move.public_id, error=type(error).__name__)
        _load_on(move, (), now=now)
        return False
    if lost:
        log.info("new_place_lost_data", move=move.public_id, sources=len(lost))
        _load_on(move, lost, now=now)
        return False
    try:
        with transaction.atomic():
            _exchange(move, reached=reached, now=now)
    except _NotYet:
        DestinationMove.objects.filter(pk=move.pk).update(not_before=now)
        return False
    log.info("destination_switched", move=move.public_id)
    return True


def in_step(other: Source) -> bool:
    """Tell whether the other place has what the view showed when the served one was brought in step, or newer."""
    ours = other.served.base_run
    if other.base_run is None or other.base_run.snapshot_at is None:
        return False
    return ours is None or ours.snapshot_at is None or ours.snapshot_at < other.base_run.snapshot_at


def claimed_runs(move: DestinationMove) -> QuerySet[SyncRun]:
    """Return the runs into the served place that workers are at."""
    return SyncRun.objects.filter(source__destination=move.destination_id, state__in=_CLAIMED)


def unfenced_runs(move: DestinationMove) -> QuerySet[SyncRun]:
    """Return the runs into the served place that wait for another attempt, while workers of the last may still write.

    That attempt has to be made where they are.
    """
    return SyncRun.objects.filter(source__destination=move.destination_id, state=RunState.QUEUED, fences_open=True)


def _loaded(others: Iterable[Source]) -> list[Source]:
    return [other for other in others if other.status == Source.Status.ACTIVE]


def _hindered(move: DestinationMove, others: Collection[Source]) -> bool:
    """Tell whether a run is under way at either place, one has to be, or is not stopped for good yet."""
    there = SyncRun.objects.filter(source__destination__other_place_of=move.destination_id)
    active = Source.objects.filter(destination=move.destination_id, status=Source.Status.ACTIVE)
    loaded = _loaded(others)
    return (
        claimed_runs(move).exists()
        or unfenced_runs(move).exists()
        or there.filter(Q(state__in=ACTIVE_STATES) | Q(fences_open=True)).exists()
        or any(other.status not in _AT_REST for other in others)
        or {other.other_place_of_id for other in loaded} != set(active.values_list("pk", flat=True))
        or not all(in_step(other) for other in loaded)
        or bool(moves.hindrances_of(move.destination))
    )


def _holds_base(other: Source) -> bool:
    """Ask whether the place still holds what was loaded. Raises `DestinationError`, `SecretUnreadable`."""
    with loader_of(other) as loader:
        return other.base_run is not None and loader.marker() == other.base_run.public_id


def _load_on(move: DestinationMove, lost: Iterable[Source], *, now: datetime) -> None:
    """Go back to loading, and load once more what was lost: the marker's absence makes those runs full."""
    with transaction.atomic():
        present = moves.hold(move)
        if present is None or present.state != _State.SWITCHING:
            return
        for other in lost:
            moves.queue(other, kind=SyncRun.Kind.INCREMENTAL, full_reason="", by=move.requested_by, now=now)
        DestinationMove.objects.filter(pk=move.pk).update(state=_State.LOADING)


def _exchange(move: DestinationMove, *, reached: Collection[int], now: datetime) -> None:
    """Exchange the places. Raises `_NotYet`.

    Locks in the order of everybody: the move, runs, the destination, sources. The suppressions in `reached` wait for
    other places than the new one; those noted from now on find the places exchanged.
    """
    if moves.hold(move) is None:
        raise _NotYet
    # Whoever is about to claim one of these read where its destination is before; it will not get it.
    queued = SyncRun.objects.filter(source__destination=move.destination_id, state=RunState.QUEUED)
    queued.update(attempt=F("attempt") + 1)
    _reach(move)
    places = Q(destination=move.destination_id) | Q(destination__other_place_of=move.destination_id)
    list(Source.every_place.select_for_update(of=("self",), no_key=True).filter(places).order_by("pk"))
    others = moves.others_of(move)
    waiting = Suppression.objects.filter(destination=move.destination_id).exclude(pending_key="")
    if _hindered(move, others) or set(waiting.values_list("pk", flat=True)) - set(reached):
        raise _NotYet
    moved = DestinationMove.objects.filter(pk=move.pk, state=_State.SWITCHING)
    if not moved.update(state=_State.REMOVING, switched_at=now, not_before=now):
        raise _NotYet
    loaded = _loaded(others)
    for other in loaded:
        _exchange_records(other)
    by = Actor.system(move.destination.organisation)
    moves.record("destination_switched", move, {"sources": len(loaded)}, by=by, now=now)


def _reach(move: DestinationMove) -> None:
    """Exchange how the two are reached. Locks them: deletes that are noted from now on are seen."""
    places = Q(pk=move.destination_id) | Q(other_place_of=move.destination_id)
    one, two = RedisDestination.every_place.select_for_update(no_key=True).filter(places).order_by("pk")
    for row, way in ((one, two), (two, one)):
        RedisDestination.every_place.filter(pk=row.pk).update(
            settings=way.settings, credentials=way.credentials, version=F("version") + 1
        )


def _exchange_records(other: Source) -> None:
    """Exchange what a source knows of its place with the one that stands for the other place."""
    ours = other.served
    # Fences that a run could not close are closed where they are.
    left = list(SyncRun.objects.filter(source=ours, fences_open=True).values_list("pk", flat=True))
    SyncRun.objects.filter(source=other).update(source=ours)
    SyncRun.objects.filter(pk__in=left).update(source=other)
    exchanged = Case(When(source=ours, then=Value(other.pk)), default=Value(ours.pk), output_field=BigIntegerField())
    DirtyId.objects.filter(source__in=(ours, other)).update(source=exchanged)
    for one, its_new in ((ours, other), (other, ours)):
        Source.every_place.filter(pk=one.pk).update(
            **{name: getattr(its_new, name) for name in _KNOWN_OF_PLACE},
            tables_of=its_new.tables_number,
            full_next=one.full_next or its_new.full_next,
            confirmed_base="",
            confirmed_deletes=None,
            confirmed_choice="",
        )


_AT_REST = (Source.Status.ACTIVE, Source.Status.REMOVED)
_CLAIMED = tuple(state for state in ACTIVE_STATES if state != RunState.QUEUED)
