"""What a sync run's page tells: its phases with their times, its counts, its partitions, and what went wrong."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from accounts.templatetags.components import duration_words
from accounts.vault import SecretUnreadable
from activation import cures, failed_ids, run_progress, run_words
from activation.claims import HEARTBEAT_EVERY
from activation.models import ACTIVE_STATES, PartitionState, RunState, SyncPartition, SyncRun
from activation.standings import of_run, pace_words

_PARTITIONS_SHOWN = 200
_SILENT_AFTER = 3 * HEARTBEAT_EVERY


@dataclass(frozen=True)
class Phase:
    """One phase: `look` is a badge's state, `length` how long it took so far; `start` and `share` place it in the bar.

    Those two are in thousandths of the whole; a phase that took time at all is wide enough to be seen.
    """

    name: str
    look: str
    length: str
    began_at: datetime | None = None
    start: int = 0
    share: int = 0


@dataclass(frozen=True)
class Failure:
    """Rows that failed for one reason; `digests` stand for some of their ids, as long as those are kept."""

    words: str
    rows: int
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class PartitionLine:
    """A partition with why rows of it failed, how long it has been loading, and how fast.

    `silence` says that its worker has not been heard of, where that is so.
    """

    row: SyncPartition
    failures: str
    length: str
    pace: str
    silence: str = ""


@dataclass(frozen=True)
class Line:
    """A run in a history; `length` is how long it took so far, with the time it waited for a worker."""

    run: SyncRun
    state: str
    word: str
    written: int
    deleted: int
    failed: int
    length: str


@dataclass(frozen=True)
class Told:
    """Everything a run's page shows."""

    state: str
    word: str
    active: bool
    phases: list[Phase]
    length: str
    progress: run_progress.Progress
    pace: str
    held_up: str
    in_view: list[tuple[str, int | None, str]]
    counts: list[tuple[str, int | None, str]]
    failures: list[Failure]
    cure: str
    full_because: str
    warnings: list[str]
    partitions: list[PartitionLine]
    partitions_left_out: int

    @property
    def has_ids(self) -> bool:
        """Whether ids of rows that failed are still kept."""
        return any(failure.digests for failure in self.failures)


def lines(runs: Iterable[SyncRun], *, now: datetime) -> list[Line]:
    """Tell of each run what its partitions have done so far, in one query; a run that succeeded knows its totals."""
    runs = list(runs)
    sums = SyncPartition.objects.filter(run__in=[run.pk for run in runs if run.state != RunState.SUCCEEDED])
    by_run = {
        pk: counts
        for pk, *counts in sums.values_list("run").annotate(Sum("written"), Sum("deleted"), Sum("failed")).order_by()
    }
    told = []
    for run in runs:
        written, deleted, failed = by_run.get(run.pk, (run.written, run.deleted, run.failed))
        told.append(Line(run, *of_run(run), written, deleted, failed, _length(run, now=now)))
    return told


def tell(run: SyncRun, *, now: datetime) -> Told:
    """Gather what the page of a run shows, in a fixed number of queries and some for each reason that rows failed."""
    partitions = run.partitions.order_by("number")
    progress = run_progress.of(run, now=now)
    state, word = of_run(run)
    return Told(
        state=state,
        word=word,
        active=run.state in ACTIVE_STATES,
        phases=_phases(run, now=now),
        length=_length(run, now=now),
        progress=progress,
        pace=pace_words(progress),
        held_up=f"Nothing is written at the moment ({progress.held_up}). It is tried again by itself."
        if progress.held_up
        else "",
        in_view=_in_view(run),
        counts=_counts(run, progress),
        failures=_failures(run),
        cure=cures.of_run(run) if run.state == RunState.FAILED else "",
        full_because=run_words.why_full(run.full_reason) if run.full_reason else "",
        warnings=[run_words.warning(str(code)) for code in run.warnings],
        partitions=[_line(partition, now=now) for partition in partitions[:_PARTITIONS_SHOWN]],
        partitions_left_out=max(0, partitions.count() - _PARTITIONS_SHOWN),
    )


def _phases(run: SyncRun, *, now: datetime) -> list[Phase]:
    starts = [
        ("Queue", run.queued_at),
        ("Snapshot", run.snapshot_at),
        ("Load", run.loading_at),
        ("Finish", run.finishing_at),
    ]
    ends = [start for _, start in starts[1:]] + [run.finished_at]
    active = run.state in ACTIVE_STATES
    phases: list[tuple[str, str, datetime | None, float]] = []
    for number, (name, start) in enumerate(starts):
        following = [at for at in ends[number:] if at is not None]
        if start is None:
            phases.append((name, "neutral", None, 0.0))
            continue
        end = following[0] if following else now
        last = not any(at for _, at in starts[number + 1 :])
        phases.append((name, _look(run, last=last, active=active), start, max(0.0, (end - start).total_seconds())))
    return _in_a_bar(phases)


def _in_a_bar(phases: list[tuple[str, str, datetime | None, float]]) -> list[Phase]:
    """Give each phase its place in a bar of all of them."""
    widths = [max(seconds, 0.02 * sum(phase[3] for phase in phases)) if began else 0.0 for *_, began, seconds in phases]
    whole = sum(widths) or 1
    told, start = [], 0
    for (name, look, began, seconds), width in zip(phases, widths, strict=True):
        share = round(1000 * width / whole)
        told.append(Phase(name, look, duration_words(seconds) if began else "", began, start, share))
        start += share
    return told


def _length(run: SyncRun, *, now: datetime) -> str:
    return duration_words(((run.finished_at or now) - run.queued_at).total_seconds())


def _look(run: SyncRun, *, last: bool, active: bool) -> str:
    if not last or run.state == RunState.SUCCEEDED:
        return "ok"
    if active:
        return "working"
    return "failed" if run.state == RunState.FAILED else "neutral"


def _in_view(run: SyncRun) -> list[tuple[str, int | None, str]]:
    return [
        ("Rows in the view", run.rows_in_view, "As it was when the snapshot was taken"),
        ("Without an id", run.null_ids, "Null or blank, left out"),
        ("Duplicates", run.duplicate_ids, "Rows that repeat another one exactly, counted once"),
        ("Invalid", run.invalid_ids, "Ids with rows that differ: the profile is left as it was"),
        ("In the snapshot", run.snapshot_rows, "One row for each id"),
    ]


def _counts(run: SyncRun, progress: run_progress.Progress) -> list[tuple[str, int | None, str]]:
    done = run if run.state == RunState.SUCCEEDED else progress  # a run that ended early keeps what its partitions did
    return [
        ("Unchanged", run.unchanged, "As in the last good sync, so not written again"),
        ("To write", run.rows_planned, "New and changed rows; in a full sync all"),
        ("To delete", run.deletes_planned, "Ids that left the view"),
        ("Written", done.written, "Acknowledged by Redis"),
        ("Deleted", done.deleted, "Acknowledged by Redis"),
        ("Suppressed", done.suppressed, "Deleted by API, so not written again"),
        ("Failed", done.failed, "Tried again by the next sync"),
        ("Kept", run.kept_rows, "Left the view, but the sync was applied without deletes"),
    ]


def _failures(run: SyncRun) -> list[Failure]:
    sums = Counter[str]()
    for failures in run.partitions.exclude(failures={}).values_list("failures", flat=True):
        sums.update({str(code): int(count) for code, count in failures.items()})
    try:
        samples = {sample.reason: sample.ids for sample in failed_ids.digests(run)} if sums else {}
    except SecretUnreadable:
        samples = {}
    return [Failure(run_words.failure(code), count, samples.get(code, ())) for code, count in sums.most_common()]


def _line(partition: SyncPartition, *, now: datetime) -> PartitionLine:
    failures = "; ".join(f"{run_words.failure(code)}: {count:,}" for code, count in partition.failures.items())
    if partition.started_at is None:
        return PartitionLine(partition, failures, "", "")
    seconds = ((partition.finished_at or now) - partition.started_at).total_seconds()
    done = partition.written + partition.deleted + partition.suppressed + partition.failed
    pace = f"{done / seconds:,.0f} rows/s" if seconds > 0 and done else ""
    return PartitionLine(partition, failures, duration_words(seconds), pace, _silence(partition, now=now))


def _silence(partition: SyncPartition, *, now: datetime) -> str:
    """Say that a partition's worker has not answered for a while, or has let it go."""
    if partition.state != PartitionState.LOADING:
        return ""
    if partition.heartbeat_at is None:
        return "to be loaded again"
    seconds = (now - partition.heartbeat_at).total_seconds()
    return f"its worker has not answered for {seconds:.0f} s" if seconds > _SILENT_AFTER else ""
