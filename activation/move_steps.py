"""The steps of a move, taken by the tick: load, catch up, switch (`activation.move_switches`), remove.

Each is one transaction that holds the move, so one that breaks in the middle has not begun.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from activation import move_switches, moves, source_tables, syncs
from activation.models import ACTIVE_STATES, DestinationMove, RedisDestination, RunState, Source, SyncRun
from activation.move_switches import in_step
from activation.run_faults import place_of
from activation.run_resources import drop_every_table
from projects.warehouses.port import WarehouseError

REASON = "destination_moved"
# Processes know the old place for a second after the switch, and their reads are still to find something there.
_LINGERS = timedelta(seconds=5)
_State = DestinationMove.State
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
        return self.run is not None and self.run.state in moves.ENDED_BADLY


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
    with transaction.atomic():
        present = moves.hold(move)
        if present is not None and present.state in DestinationMove.BEFORE_SWITCH:
            _follow(present, now=now)
            _load(present, now=now)
    if present is None:
        return
    if present.state == _State.SWITCHING:
        move_switches.switch(present, now=now)
    if present.state in {_State.REMOVING, _State.CANCELLING}:
        _remove(present, now=now)


def _follow(move: DestinationMove, *, now: datetime) -> None:
    """Have a source at the other place for each that is synced, with the same settings."""
    other_place = RedisDestination.every_place.get(other_place_of=move.destination_id)
    present = {other.other_place_of_id: other for other in moves.others_of(move)}
    sources = list(Source.objects.filter(destination=move.destination).order_by("pk"))
    for source in sources:
        other = present.get(source.pk)
        if other is None:
            continue
        if source.status == Source.Status.ACTIVE:
            wanted = {name: getattr(source, name) for name in _FOLLOWED}
            Source.every_place.filter(pk=other.pk).exclude(**wanted, status=Source.Status.ACTIVE).update(
                **wanted, status=Source.Status.ACTIVE
            )
        elif other.status == Source.Status.ACTIVE and source.status != Source.Status.RETIRED:
            _begin_removal(move, other, now=now)
    new = [each for each in sources if each.pk not in present and each.status == Source.Status.ACTIVE]
    # A field that another source's removal is still at there has to wait for that.
    taken = {_field(other) for other in present.values() if other.status != Source.Status.REMOVED}
    for source in new:
        if _field(source) not in taken:
            _stand_in(source, other_place, now=now)


def _field(source: Source) -> tuple[str, str, str]:
    return source.entity, source.id_type, source.feature_view


def _stand_in(source: Source, other_place: RedisDestination, *, now: datetime) -> None:
    kept = {name: getattr(source, name) for name in ("activation", "entity", "id_type", "feature_view", *_FOLLOWED)}
    Source.every_place.create(destination=other_place, other_place_of=source, created_at=now, **kept)


def _load(move: DestinationMove, *, now: datetime) -> None:
    """Load what is not there yet; once everything was loaded, hold the syncs into the old place and catch up."""
    with_runs = [(other, run) for other, run in _with_runs(move) if other.status != Source.Status.REMOVED]
    for other, run in with_runs:
        if _is_empty(other, run) and syncs.is_served(other):
            moves.queue(other, kind=SyncRun.Kind.FULL, full_reason=REASON, by=move.requested_by, now=now)
    loaded = all(run is not None and run.state == RunState.SUCCEEDED and not _is_empty(o, run) for o, run in with_runs)
    if move.state == _State.LOADING:
        waits = moves.hindrances_of(move.destination) or move_switches.unfenced_runs(move).exists()
        if loaded and not waits and move.not_before <= now:
            _go_on(move, _State.SWITCHING)
    elif move_switches.unfenced_runs(move).exists() or any(
        _is_empty(other, run) or (run is not None and run.state in moves.ENDED_BADLY) for other, run in with_runs
    ):
        _go_on(move, _State.LOADING)  # nobody waits for what a person has to look at, or for a whole load
    elif not move_switches.claimed_runs(move).exists():
        for other, run in with_runs:
            if run is not None and run.state == RunState.SUCCEEDED and not in_step(other):
                moves.queue(other, kind=SyncRun.Kind.INCREMENTAL, full_reason="", by=move.requested_by, now=now)


def _is_empty(other: Source, run: SyncRun | None) -> bool:
    """Tell whether a source that is synced has nothing at the other place yet, or nothing any more."""
    removed = run is not None and run.kind == SyncRun.Kind.REMOVAL and run.state == RunState.SUCCEEDED
    return other.status == Source.Status.ACTIVE and (run is None or removed)


def _go_on(move: DestinationMove, state: DestinationMove.State) -> None:
    if DestinationMove.objects.filter(pk=move.pk, state=move.state).update(state=state):
        move.state = state


def _remove(move: DestinationMove, *, now: datetime) -> None:
    """Empty the place that is not served, drop what named it in the warehouse, then forget it."""
    if move.switched_at is not None and now < move.switched_at + lingers():
        return
    with transaction.atomic():
        if moves.hold(move) is None:
            return
        left = [] if move.left_behind else moves.others_of(move)
        left = [other for other in left if other.status != Source.Status.REMOVED]
        for other in left:
            _begin_removal(move, other, now=now)
    if not left and moves.take_turn(move, now=now) and _drop_tables(move, now=now):
        _end(move, now=now)


def lingers() -> timedelta:
    """Return how long after the switch processes may still read the old place: while they have no database."""
    return timedelta(seconds=settings.STALE_READS_FOR) + _LINGERS


def _drop_tables(move: DestinationMove, *, now: datetime) -> bool:
    """Drop the tables that named what the other place held: no later run does. Tells whether the move may end."""
    for other in moves.others_of(move):
        try:
            drop_every_table(other)
        except WarehouseError as error:
            log.warning("tables_left_behind", move=move.public_id, code=error.code)
            if not move.left_behind:
                return False
            source_tables.note(other, now=now)
    return True


def _end(move: DestinationMove, *, now: datetime) -> None:
    with transaction.atomic():
        present = moves.hold(move)
        if present is None:
            return
        moves.close(present, now=now)
        ended = "destination_moved" if present.state == _State.REMOVING else "destination_move_undone"
        moves.record(ended, present, {}, by=Actor.system(present.destination.organisation), now=now)


def _begin_removal(move: DestinationMove, other: Source, *, now: datetime) -> None:
    """Queue the removal of what the other place holds of a source, once what loads it has been stopped."""
    run = moves.newest_run(other)
    removes = run is not None and run.kind == SyncRun.Kind.REMOVAL
    if removes and other.status == Source.Status.REMOVING:
        return  # under way; or it failed, and a person has to look
    if run is not None and run.state in ACTIVE_STATES and not removes:
        syncs.stop(run, by=Actor.system(move.destination.organisation), now=now)
    if run is None or not removes or run.state not in ACTIVE_STATES:
        moves.queue(other, kind=SyncRun.Kind.REMOVAL, full_reason="", by=move.requested_by, now=now)
    Source.every_place.filter(pk=other.pk).update(status=Source.Status.REMOVING)


def _with_runs(move: DestinationMove) -> list[tuple[Source, SyncRun | None]]:
    return [(other, moves.newest_run(other)) for other in moves.others_of(move)]


def _word(other: Source, run: SyncRun | None) -> str:
    if other.status == Source.Status.REMOVED:
        return "Removed"
    if run is None:
        return "Waiting"
    if run.state in moves.ENDED_BADLY:
        return "Failed" if run.state == RunState.FAILED else "Stopped"
    if run.kind == SyncRun.Kind.REMOVAL:
        return "Being removed"
    if run.state in ACTIVE_STATES:
        return "Loading"
    return "In step" if in_step(other) else "To be brought up to date"
