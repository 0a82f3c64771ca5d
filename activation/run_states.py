"""The states of a sync run and the one table of moves between them.

Every move is a conditional UPDATE on the state **and** the attempt: whoever lost the run changes nothing. Heartbeats
are in database time, so that workers' clocks need not agree.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from activation.models import RunState, SyncRun

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.SNAPSHOT, RunState.FAILED, RunState.CANCELLED}),
    RunState.SNAPSHOT: frozenset({RunState.QUEUED, RunState.LOADING, RunState.FAILED, RunState.CANCELLED}),
    RunState.LOADING: frozenset({RunState.QUEUED, RunState.FINISHING, RunState.FAILED, RunState.CANCELLED}),
    RunState.FINISHING: frozenset(
        {RunState.QUEUED, RunState.LOADING, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
    ),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}

# A transient fault is tried again after 1, 2, 4 … 60 seconds, this often; then the run fails.
MOST_RETRIES = 30
_LONGEST_WAIT = 60


class ImpossibleMove(Exception):
    """The code asked for a move that the table does not have: a bug."""


def move(run: SyncRun, to: RunState, *conditions: Q | Combinable, now: datetime, **fields: object) -> bool:
    """Move a run on, if it still is as `run` says and the conditions hold; tell whether that was so.

    `run.state` and `run.attempt` are what the caller claimed. On success `run` carries the new values.
    """
    if to not in TRANSITIONS[RunState(run.state)]:
        raise ImpossibleMove(f"{run.state} → {to}")
    changes: dict[str, object] = {"state": to, **_times(to, now), **fields}
    moved = SyncRun.objects.filter(*conditions, pk=run.pk, state=run.state, attempt=run.attempt).update(
        heartbeat_at=Now() if to in _WORKED_ON else None, **changes
    )
    if moved:
        for name, value in changes.items():
            setattr(run, name, value)
    return bool(moved)


def stalled() -> QuerySet[SyncRun]:
    """Return the runs that say a worker is on them while no heartbeat came for the lease."""
    return SyncRun.objects.filter(
        state__in=(RunState.SNAPSHOT, RunState.FINISHING),
        heartbeat_at__lt=Now() - timedelta(seconds=settings.SYNC_LEASE),
    )


def wait_before(retry: int) -> timedelta:
    """Return how long to wait before the given retry, counted from 0."""
    return timedelta(seconds=min(2**retry, _LONGEST_WAIT))


_WORKED_ON = frozenset({RunState.SNAPSHOT, RunState.LOADING, RunState.FINISHING})
_TIME_FIELD = {
    RunState.SNAPSHOT: "snapshot_at",
    RunState.LOADING: "loading_at",
    RunState.FINISHING: "finishing_at",
    RunState.SUCCEEDED: "finished_at",
    RunState.FAILED: "finished_at",
    RunState.CANCELLED: "finished_at",
}


def _times(to: RunState, now: datetime) -> dict[str, object]:
    field = _TIME_FIELD.get(to)
    return {field: now} if field else {}
