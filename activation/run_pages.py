"""What a sync run's page tells: its phases with their times, its counts, its partitions, and what went wrong."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.templatetags.components import duration_words
from activation import syncs
from activation.models import ACTIVE_STATES, RunState, SyncPartition, SyncRun
from activation.standings import of_run, pace_words

_PARTITIONS_SHOWN = 200


@dataclass(frozen=True)
class Phase:
    """One phase: `look` is a badge's state, `length` how long it took so far."""

    name: str
    look: str
    length: str


@dataclass(frozen=True)
class Told:
    """Everything a run's page shows."""

    state: str
    word: str
    active: bool
    phases: list[Phase]
    progress: syncs.Progress
    pace: str
    counts: list[tuple[str, int | None, str]]
    failures: list[tuple[str, int]]
    cure: str
    partitions: Sequence[SyncPartition]
    partitions_left_out: int


# What to do about an error of a run, by its code; the error itself says what happened.
_CURES = {
    "refused": "Correct the user or the password of the destination, then press Sync Now.",
    "address_refused": "This address may not be dialled from here. Ask whoever runs this installation.",
    "certificate_refused": "Check the CA certificate of the destination, then press Sync Now.",
    "misconfigured": "Compare the destination's settings with your provider's, then press Sync Now.",
    "scripts_refused": "Let the user run scripts (ACL: +@scripting), then press Sync Now.",
    "grant_missing": "Run the SQL under Settings, Activation API once more, then press Sync Now.",
    "relation_missing": "Run the project so that the view is made, or choose where it is, then press Sync Now.",
}
_ANY_CURE = "Press Sync Now to try again. Until then the profiles of the last good sync are served."

_FAILURE_WORDS = {
    "wrong_type": "The key holds something other than a hash, written by someone else",
    "too_large": "The value is larger than Redis takes",
    "unencodable": "A value cannot be written as JSON",
}


def tell(run: SyncRun, *, now: datetime) -> Told:
    """Gather what the page of a run shows, in three queries."""
    partitions = list(run.partitions.order_by("number"))
    progress = syncs.progress(run, now=now)
    state, word = of_run(run)
    return Told(
        state=state,
        word=word,
        active=run.state in ACTIVE_STATES,
        phases=_phases(run, now=now),
        progress=progress,
        pace=pace_words(progress),
        counts=_counts(run, progress),
        failures=_failures(partitions),
        cure=_CURES.get(run.error_code, _ANY_CURE) if run.state == RunState.FAILED else "",
        partitions=partitions[:_PARTITIONS_SHOWN],
        partitions_left_out=max(0, len(partitions) - _PARTITIONS_SHOWN),
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
    phases = []
    for number, (name, start) in enumerate(starts):
        following = [at for at in ends[number:] if at is not None]
        if start is None:
            phases.append(Phase(name, "neutral", ""))
            continue
        end = following[0] if following else now
        last = not any(at for _, at in starts[number + 1 :])
        phases.append(Phase(name, _look(run, last=last, active=active), duration_words((end - start).total_seconds())))
    return phases


def _look(run: SyncRun, *, last: bool, active: bool) -> str:
    if not last or run.state == RunState.SUCCEEDED:
        return "ok"
    if active:
        return "working"
    return "failed" if run.state == RunState.FAILED else "neutral"


def _counts(run: SyncRun, progress: syncs.Progress) -> list[tuple[str, int | None, str]]:
    under_way = run.state in ACTIVE_STATES
    written, deleted, suppressed, failed = (
        (progress.written, progress.deleted, progress.suppressed, progress.failed)
        if under_way
        else (run.written, run.deleted, run.suppressed, run.failed)
    )
    return [
        ("Rows in the view", run.rows_in_view, ""),
        ("To write", run.rows_planned, ""),
        ("To delete", run.deletes_planned, "Rows that left the view"),
        ("Written", written, "Acknowledged by Redis"),
        ("Deleted", deleted, "Acknowledged by Redis"),
        ("Suppressed", suppressed, "Deleted by API, so not written again"),
        ("Failed", failed, "Tried again by the next sync"),
        ("Without an id", run.null_ids, "Null or blank, left out"),
        ("Duplicates", run.duplicate_ids, "Rows that repeat another one exactly, counted once"),
        ("Contradicting", run.invalid_ids, "Ids with rows that differ: the profile is left as it was"),
    ]


def _failures(partitions: Iterable[SyncPartition]) -> list[tuple[str, int]]:
    sums = Counter[str]()
    for partition in partitions:
        sums.update({str(code): int(count) for code, count in partition.failures.items()})
    return [(_FAILURE_WORDS.get(code, code), count) for code, count in sums.most_common()]
