"""What the page of a *Reconcile* tells: how far the look is, what it found by source, what is left alone and why."""

from dataclasses import dataclass

from activation import cures, reconciles
from activation.engine.keyspace import MOST_FIELDS
from activation.models import ACTIVE_STATES, Reconcile, Source, SyncRun
from activation.reconcile_looks import MOVED
from activation.reconciles import View

_State = Reconcile.State
_LOOKS = {
    _State.QUEUED: "working",
    _State.LOOKING: "working",
    _State.READY: "attention",
    _State.REMOVING: "working",
    _State.DONE: "ok",
    _State.FAILED: "failed",
    _State.CANCELLED: "neutral",
}
_WARNINGS = {
    MOVED: (
        "The cluster moved slots between its primaries while it was read, so keys may have been missed. "
        "Look again once it is settled."
    )
}


@dataclass(frozen=True)
class Line:
    """A source: its fields in Redis, those to remove, what is not compared, and the run that removes."""

    source: Source
    found: int
    strays: int
    uncompared: int
    run: SyncRun | None
    word: str


@dataclass(frozen=True)
class Told:
    """Everything the page shows of a look."""

    state: str
    word: str
    active: bool
    waits: bool
    keys: int
    lines: list[Line]
    removing: int
    profiles: int
    bookkeeping: int
    unclaimed: list[tuple[View, int]]
    left_alone: list[tuple[str, int]]
    warnings: list[str]
    cure: str


def tell(row: Reconcile) -> Told:
    """Put a look into words."""
    unclaimed = reconciles.unclaimed(row)
    state = _State(row.state)
    looking = state in {_State.QUEUED, _State.LOOKING}
    lines = _lines(row)
    # What was handed over is removed once the syncs that have it are through.
    removing = state == _State.REMOVING or any(line.run and line.run.state in ACTIVE_STATES for line in lines)
    word = "Removing" if removing else "Looking" if looking and row.attempt else str(state.label)
    return Told(
        state="working" if removing else _LOOKS[state],
        word=word,
        active=looking or removing,
        waits=state == _State.READY,
        keys=int(row.counts.get("keys", 0)),
        lines=lines,
        removing=reconciles.to_remove(row),
        profiles=reconciles.strays(row),
        bookkeeping=len(row.bookkeeping),
        unclaimed=unclaimed if state in {_State.READY, _State.DONE} else [],
        left_alone=_left_alone(row),
        warnings=[_WARNINGS.get(code, code) for code in row.warnings],
        cure=cures.of_reconcile(row) if state == _State.FAILED else "",
    )


def _lines(row: Reconcile) -> list[Line]:
    sources = Source.objects.select_related("activation").in_bulk([int(source_id) for source_id in row.findings])
    named = [finding["run"] for finding in row.findings.values() if finding.get("run")]
    runs = {run.public_id: run for run in SyncRun.objects.filter(public_id__in=named)}
    return [
        _line(source, finding, runs.get(finding.get("run", "")))
        for source_id, finding in row.findings.items()
        if (source := sources.get(int(source_id))) is not None
    ]


def _line(source: Source, finding: dict[str, object], run: SyncRun | None) -> Line:
    found, strays, uncompared = (_whole(finding.get(name)) for name in ("found", "strays", "uncompared"))
    if uncompared and source.status == Source.Status.ACTIVE and source.activation.enabled:
        word = "Not compared: it has no snapshot to compare with. Look again after its next sync."
    elif uncompared:
        word = "Not compared: its sync is off. Turn it on, or remove its profiles."
    elif strays and source.status in {Source.Status.REMOVED, Source.Status.REMOVING}:
        word = "Removed from the project; all of it is left over."
    else:
        word = ""
    return Line(source, found, strays, uncompared, run, word)


def _left_alone(row: Reconcile) -> list[tuple[str, int]]:
    foreign = f"Keys that are no profiles (another type, or more than {MOST_FIELDS:,} fields)"
    known = (
        ("Fields under an entity or id type that no project here has", reconciles.unknown(row)),
        ("Fields that two sources could have written", _whole(row.counts.get("shared"))),
        (foreign, _whole(row.counts.get("foreign"))),
        ("Ids that are no text", _whole(row.counts.get("unreadable"))),
    )
    return [(words, count) for words, count in known if count]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
