"""The steps of a move, taken by the tick: load, catch up, switch, remove.

The switch is one transaction: the two rows of the destination exchange how they are reached, and each source exchanges
what it knows of its place with the source that stands for the other one. So from then on every sync, and every look-up
within a second, goes to the new place, and a removal empties the old one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import BigIntegerField, Case, F, QuerySet, Value, When

from accounts.actors import Actor
from activation import moves, syncs
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
from activation.run_faults import place_of

REASON = "destination_moved"
# Processes know the old place for a second after the switch, and their reads are still to find something there.
_LINGERS = timedelta(seconds=5)
_State = DestinationMove.State
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
)
_FOLLOWED = ("relation", "id_column", "normalisation", "ignored_columns")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Part:
    """Where a source of a move stands: `word` for people, the newest run at the place that is not served."""

    source: Source
    word: str
    run: SyncRun | None

    @property
    def failed(self) -> bool:
        """Whether somebody has to look."""
        return self.run is not None and self.run.state in {RunState.FAILED, RunState.CANCELLED}


class _NotYet(Exception):
    """Something has begun since it was looked at; the switch is undone and tried again."""


def carry_on(*, now: datetime) -> None:
    """Take the next step of every open move. One that breaks is logged and does not keep the others waiting."""
    for move in DestinationMove.objects.filter(state__in=DestinationMove.OPEN).select_related(
        "destination__organisation"
    ):
        try:
            _step(move, now=now)
        except Exception as error:  # noqa: BLE001 - one move's trouble must not stop the others
            log.error("move_broke", move=move.public_id, error=type(error).__name__, at=place_of(error))  # noqa: TRY400 - no text


def parts(move: DestinationMove) -> list[Part]:
    """Tell where each source of a move stands."""
    return [Part(other.served, _word(other, run), run) for other, run in _with_runs(move)]


def waits_for(move: DestinationMove) -> list[str]:
    """Say what an open move waits for that people can do something about."""
    if move.state not in DestinationMove.BEFORE_SWITCH:
        return []
    return moves.hindrances_of(move.destination)


def _step(move: DestinationMove, *, now: datetime) -> None:
    if move.state in DestinationMove.BEFORE_SWITCH:
        _follow(move, now=now)
        _load(move, now=now)
    if move.state == _State.SWITCHING:
        _switch(move, now=now)
    if move.state in {_State.REMOVING, _State.CANCELLING}:
        _remove(move, now=now)


def _follow(move: DestinationMove, *, now: datetime) -> None:
    """Have a source at the other place for each that is synced, with the same settings."""
    other_place = RedisDestination.every_place.get(other_place_of=move.destination_id)
    present = {other.other_place_of_id: other for other in moves.others_of(move)}
    for source in Source.objects.filter(destination=move.destination):
        other = present.get(source.pk)
        if other is None:
            if source.status == Source.Status.ACTIVE:
                _stand_in(source, other_place, now=now)
        elif source.status == Source.Status.ACTIVE:
            wanted = {name: getattr(source, name) for name in _FOLLOWED}
            Source.every_place.filter(pk=other.pk).exclude(**wanted, status=Source.Status.ACTIVE).update(
                **wanted, status=Source.Status.ACTIVE
            )
        elif other.status == Source.Status.ACTIVE and source.status != Source.Status.RETIRED:
            _begin_removal(move, other, now=now)


def _stand_in(source: Source, other_place: RedisDestination, *, now: datetime) -> None:
    kept = {name: getattr(source, name) for name in ("activation", "entity", "id_type", "feature_view", *_FOLLOWED)}
    Source.every_place.create(destination=other_place, other_place_of=source, created_at=now, **kept)


def _load(move: DestinationMove, *, now: datetime) -> None:
    """Load what is not there yet; once everything was loaded, hold the syncs into the old place and catch up."""
    with_runs = [(other, run) for other, run in _with_runs(move) if other.status == Source.Status.ACTIVE]
    for other, run in with_runs:
        if run is None and syncs.is_served(other):
            moves.queue(other, kind=SyncRun.Kind.FULL, full_reason=REASON, by=move.requested_by, now=now)
    loaded = all(run is not None and run.state == RunState.SUCCEEDED for _, run in with_runs)
    if move.state == _State.LOADING and loaded and not moves.hindrances_of(move.destination):
        _go_on(move, _State.SWITCHING)
    elif move.state == _State.SWITCHING and any(run is None or run.state in _ENDED_BADLY for _, run in with_runs):
        _go_on(move, _State.LOADING)  # nobody waits for what a person has to look at
    elif move.state == _State.SWITCHING and not _claimed_runs(move).exists():
        for other, run in with_runs:
            if run is not None and run.state == RunState.SUCCEEDED and not _in_step(other):
                moves.queue(other, kind=SyncRun.Kind.INCREMENTAL, full_reason="", by=move.requested_by, now=now)


def _go_on(move: DestinationMove, state: DestinationMove.State) -> None:
    if DestinationMove.objects.filter(pk=move.pk, state=move.state).update(state=state):
        move.state = state


def _in_step(other: Source) -> bool:
    """Tell whether the other place has what the view showed when the old one was brought in step, or newer."""
    ours = other.served.base_run
    if other.base_run is None or other.base_run.snapshot_at is None:
        return False
    return ours is None or ours.snapshot_at is None or ours.snapshot_at < other.base_run.snapshot_at


def _switch(move: DestinationMove, *, now: datetime) -> None:
    try:
        with transaction.atomic():
            _exchange(move, now=now)
    except _NotYet:
        return
    move.state, move.switched_at = _State.REMOVING, now
    log.info("destination_switched", move=move.public_id)


def _exchange(move: DestinationMove, *, now: datetime) -> None:
    """Exchange the places. Raises `_NotYet` when a run is under way, a delete is not done everywhere, or is behind."""
    queued = SyncRun.objects.filter(source__destination=move.destination_id, state=RunState.QUEUED)
    # Whoever is about to claim one of these read where its destination is before; it will not get it.
    queued.update(attempt=F("attempt") + 1)
    here = RedisDestination.every_place.get(pk=move.destination_id)
    there = RedisDestination.every_place.get(other_place_of=move.destination_id)
    moved = DestinationMove.objects.filter(pk=move.pk, state=_State.SWITCHING)
    if not moved.update(state=_State.REMOVING, switched_at=now):
        raise _NotYet
    _reach(here, there)
    others = [other for other in moves.others_of(move) if other.status == Source.Status.ACTIVE]
    waiting = Suppression.objects.filter(destination=here).exclude(pending_key="")
    active = SyncRun.objects.filter(source__destination=there, state__in=ACTIVE_STATES)
    open_ones = SyncRun.objects.filter(source__destination=there, fences_open=True)
    under_way = _claimed_runs(move) | queued.filter(fences_open=True)
    if (
        under_way.exists()
        or active.exists()
        or open_ones.exists()
        or waiting.exists()
        or moves.hindrances_of(move.destination)
        or {other.other_place_of_id for other in others} != set(_served_sources(move))
        or not all(_in_step(other) for other in others)
    ):
        raise _NotYet
    for other in others:
        _exchange_records(other)
    moves.record(
        "destination_switched", move, {"sources": len(others)}, by=Actor.system(move.destination.organisation), now=now
    )


def _reach(here: RedisDestination, there: RedisDestination) -> None:
    """Exchange how the two are reached. Locks the destination: deletes that are noted from now on are seen."""
    ways = {row.pk: {"settings": row.settings, "credentials": row.credentials} for row in (here, there)}
    RedisDestination.every_place.filter(pk=here.pk).update(**ways[there.pk], version=F("version") + 1)
    RedisDestination.every_place.filter(pk=there.pk).update(**ways[here.pk], version=F("version") + 1)


def _exchange_records(other: Source) -> None:
    """Exchange what a source knows of its place with the one that stands for the other place."""
    locked = Source.every_place.select_for_update()
    ours, other = locked.get(at_other_place=other), locked.get(pk=other.pk)
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


def _remove(move: DestinationMove, *, now: datetime) -> None:
    """Empty the place that is not served, then forget it."""
    if move.switched_at is not None and now < move.switched_at + _LINGERS:
        return
    left = [other for other in moves.others_of(move) if other.status != Source.Status.REMOVED]
    for other in left:
        _begin_removal(move, other, now=now)
    if not left:
        with transaction.atomic():
            moves.close(move, now=now)
            ended = "destination_moved" if move.state == _State.REMOVING else "destination_move_undone"
            moves.record(ended, move, {}, by=Actor.system(move.destination.organisation), now=now)


def _begin_removal(move: DestinationMove, other: Source, *, now: datetime) -> None:
    """Queue the removal of what the other place holds of a source, once what loads it has been stopped."""
    run = moves.newest_run(other)
    if run is not None and run.kind == SyncRun.Kind.REMOVAL:
        return  # under way; or it failed, and a person has to look
    if run is not None and run.state in ACTIVE_STATES:
        syncs.stop(run, by=Actor.system(move.destination.organisation), now=now)
    with transaction.atomic():
        moves.queue(other, kind=SyncRun.Kind.REMOVAL, full_reason="", by=move.requested_by, now=now)
        Source.every_place.filter(pk=other.pk).update(status=Source.Status.REMOVING)


def _with_runs(move: DestinationMove) -> list[tuple[Source, SyncRun | None]]:
    return [(other, moves.newest_run(other)) for other in moves.others_of(move)]


def _claimed_runs(move: DestinationMove) -> QuerySet[SyncRun]:
    """Return the runs into the served place that workers are at."""
    return SyncRun.objects.filter(source__destination=move.destination_id, state__in=_CLAIMED)


def _served_sources(move: DestinationMove) -> QuerySet[Source, int]:
    active = Source.objects.filter(destination=move.destination_id, status=Source.Status.ACTIVE)
    return active.values_list("pk", flat=True)


def _word(other: Source, run: SyncRun | None) -> str:
    if other.status == Source.Status.REMOVED:
        return "Removed"
    if run is None:
        return "Waiting"
    if run.state in _ENDED_BADLY:
        return "Failed" if run.state == RunState.FAILED else "Stopped"
    if run.kind == SyncRun.Kind.REMOVAL:
        return "Being removed"
    if run.state in ACTIVE_STATES:
        return "Loading"
    return "In step" if _in_step(other) else "To be brought up to date"


_ENDED_BADLY = (RunState.FAILED, RunState.CANCELLED)
_CLAIMED = tuple(state for state in ACTIVE_STATES if state != RunState.QUEUED)
