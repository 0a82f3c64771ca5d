"""How far runs are: what their partitions have acknowledged, how fast, how long it will take, what holds them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Q, Sum

from activation.models import PartitionState, RunState, SyncPartition, SyncRun

_COUNTED = ("rows_planned", "written", "deleted", "suppressed", "failed")


@dataclass(frozen=True)
class Progress:
    """How far a run is, in rows.

    `held_up` is the code of why nothing is loaded at the moment while it is tried again, else empty.
    """

    done: int
    total: int | None
    written: int
    deleted: int
    suppressed: int
    failed: int
    rows_per_second: float | None
    seconds_left: float | None
    held_up: str

    @property
    def percent(self) -> int | None:
        """Whole percent of the planned rows, or None while the plan is not known."""
        if self.total is None:
            return None
        return 100 if self.total == 0 else int(100 * self.done / self.total)


def of(run: SyncRun, *, now: datetime) -> Progress:
    """Sum up a run's partitions: what they have acknowledged, how fast, how long it will take."""
    return of_all([run], now=now)[run.pk]


def of_all(runs: Sequence[SyncRun], *, now: datetime) -> dict[int, Progress]:
    """Sum up the partitions of several runs, by the runs' primary keys, in one query."""
    open_ones = Q(state__in=(PartitionState.WAITING, PartitionState.LOADING))
    sums = {
        **{f"all_{name}": Sum(name) for name in _COUNTED},
        "fault": Max("error_code", filter=open_ones),
        "under_way": Count("pk", filter=Q(state=PartitionState.LOADING, error_code="", heartbeat_at__isnull=False)),
    }
    rows = SyncPartition.objects.filter(run__in=runs).values("run_id").annotate(**sums).order_by()
    found = {row["run_id"]: row for row in rows}
    return {run.pk: _progress(run, found.get(run.pk, {}), now=now) for run in runs}


def _progress(run: SyncRun, sums: Mapping[str, Any], *, now: datetime) -> Progress:
    planned, *counts = (sums.get(f"all_{name}") for name in _COUNTED)
    written, deleted, suppressed, failed = (count or 0 for count in counts)
    done = written + deleted + suppressed + failed
    total = None if planned is None and run.rows_planned is None else planned or 0
    loading = run.state == RunState.LOADING
    held_up = (sums.get("fault") or "") if loading and not sums.get("under_way") else ""
    rate = _rate(run, done=done, now=now)
    left = max(total - done, 0) / rate if rate and total is not None and loading and not held_up else None
    return Progress(
        done=done,
        total=total,
        written=written,
        deleted=deleted,
        suppressed=suppressed,
        failed=failed,
        rows_per_second=rate,
        seconds_left=left,
        held_up=held_up,
    )


def _rate(run: SyncRun, *, done: int, now: datetime) -> float | None:
    if run.loading_at is None:
        return None
    seconds = ((run.finishing_at or run.finished_at or now) - run.loading_at).total_seconds()
    return done / seconds if seconds > 0 and done else None
