"""Where each source and each activation stands, in the words that pages show.

Reads only. A state is one of the five that a badge knows: ok, working, attention, failed, neutral.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.templatetags.components import duration_words
from activation import freshness, guard, syncs
from activation.models import ACTIVE_STATES, Activation, RedisDestination, RunState, Source, SyncRun
from projects import runs
from projects.models import Project

_PHASE_WORDS = {
    RunState.QUEUED: "Waiting for a worker",
    RunState.SNAPSHOT: "Taking a snapshot",
    RunState.LOADING: "Loading",
    RunState.FINISHING: "Finishing",
}


WORST_FIRST = ("failed", "attention", "working", "ok", "neutral")  # from what needs somebody to what needs nobody
_CONFIRM = "Needs confirmation"
ROWS_FAILED, _KEEPS_MORE = "Rows failed", "Keeps profiles"
_BEHIND, OUT_OF_DATE = "Behind", "Out of date"
_OUT_OF_DATE_AFTER = timedelta(hours=24)
# What is long about a run, and says nothing about where its source stands.
_LONG_OF_RUN = ("columns", "evictions", "warnings", "offer")
# What a page about hundreds of sources needs of each, of its run and of its activation.
_SHORT_OF_ACTIVATION = ("project_id", "destination_id", "enabled", "enabled_at", "schedule")
_SHORT_OF_SOURCE = (
    "public_id",
    "activation_id",
    "destination_id",
    "entity",
    "id_type",
    "feature_view",
    "status",
    "base_snapshot",
    "base_rows",
    "base_run",
    "confirmed_base",
    "confirmed_deletes",
    "confirmed_choice",
    "seen_profiles_run_id",
    "created_at",
)
_SHORT_OF_RUN = (
    "public_id",
    "source_id",
    "profiles_run_id",
    "state",
    "base_snapshot",
    "kept_rows",
    "deletes_planned",
    "failed",
    "error_code",
    "error",
    "queued_at",
    "snapshot_at",
    "finished_at",
)


@dataclass(frozen=True)
class Standing:
    """Where a source stands: `run` is its newest run, `progress` is there while that one loads.

    `run` is an earlier one where that still waits for a confirmation, and the newer ones were stopped. `due_since` is
    when a sync was due that has not been done, where one is; `synced_at` is when the last good one ended.
    """

    source: Source
    state: str
    word: str
    run: SyncRun | None = None
    progress: syncs.Progress | None = None
    due_since: datetime | None = None

    @property
    def synced_at(self) -> datetime | None:
        """Tell when the last good sync ended, also once its profiles were removed."""
        base = self.source.base_run
        return base.finished_at if base is not None else getattr(self.source, "last_good_at", None)

    @property
    def pace(self) -> str:
        """Say how fast the run is and how long it will take."""
        return pace_words(self.progress) if self.progress else ""

    @property
    def confirms(self) -> bool:
        """Tell whether its newest run waits for an Admin's confirmation."""
        return self.word == _CONFIRM

    @property
    def active(self) -> bool:
        """Tell whether a run of it is under way."""
        return self.run is not None and self.run.state in ACTIVE_STATES


@dataclass(frozen=True)
class Summary:
    """Where a whole activation stands, in one line."""

    state: str
    word: str
    profiles: int
    synced_at: datetime | None
    active: bool


def activations_of(projects: Iterable[Project]) -> dict[int, Activation]:
    """Return the activations by their projects' primary keys, each with its project and destination, in two queries."""
    by_id = {project.pk: project for project in projects}
    rows = Activation.objects.filter(project__organisation__in={project.organisation_id for project in by_id.values()})
    found = {row.project_id: row for row in rows.only(*_SHORT_OF_ACTIVATION) if row.project_id in by_id}
    destinations = RedisDestination.objects.in_bulk({row.destination_id for row in found.values()})
    for row in found.values():
        row.project, row.destination = by_id[row.project_id], destinations[row.destination_id]
    return found


def of_sources(
    sources: QuerySet[Source], *, now: datetime, activations: Mapping[int, Activation] | None = None
) -> list[Standing]:
    """Tell where each source stands, in three queries however many there are.

    A page about hundreds of them brings the `activations` it has, by primary key and each with its project: the sources
    take these, and they and their runs come without their destination and whatever else is not told of many.
    """
    its_runs = SyncRun.objects.filter(source=OuterRef("pk")).order_by("-queued_at", "-pk")
    good = its_runs.filter(state=RunState.SUCCEEDED).exclude(kind=SyncRun.Kind.REMOVAL)
    known = freshness.with_first_run(sources).annotate(
        newest_run=Subquery(its_runs.values("pk")[:1]),
        not_stopped=Subquery(its_runs.exclude(state=RunState.CANCELLED).values("pk")[:1]),
        last_good_at=Subquery(good.values("finished_at")[:1]),
        newest_profiles_run=Subquery(runs.newest_finished(OuterRef("activation__project_id")).values("pk")[:1]),
    )
    rows = _read(known.order_by("status", "entity", "feature_view", "pk"), activations)
    whole = SyncRun.objects.defer(*_LONG_OF_RUN)
    by_id = {row.base_run.pk: row.base_run for row in rows if row.base_run is not None}
    others = {pk for row in rows for pk in (row.newest_run, row.not_stopped) if pk} - by_id.keys()  # type: ignore[attr-defined]  # annotated
    by_id |= (whole if activations is None else whole.only(*_SHORT_OF_RUN)).in_bulk(others)
    telling = [(row, _telling(row, by_id)) for row in rows]
    loading = [run.pk for _, run in telling if run is not None and run.state == RunState.LOADING]
    progresses = syncs.progresses(list(whole.filter(pk__in=loading)), now=now) if loading else {}
    return [_standing(row, run, progresses, now=now) for row, run in telling]


def _read(sources: QuerySet[Source], activations: Mapping[int, Activation] | None) -> list[Source]:
    sources = sources.select_related("base_run")
    if activations is None:
        long = (f"base_run__{name}" for name in _LONG_OF_RUN)
        return list(sources.select_related("activation__project", "destination").defer(*long))
    rows = list(sources.only(*_SHORT_OF_SOURCE, *(f"base_run__{name}" for name in _SHORT_OF_RUN)))
    for row in rows:
        row.activation = activations[row.activation_id]
    return rows


def of_run(run: SyncRun) -> tuple[str, str]:
    """Return the state and the word of a single run's badge."""
    state = RunState(run.state)
    if state in _PHASE_WORDS:
        return "working", _PHASE_WORDS[state]
    if state == RunState.FAILED and run.error_code == guard.CODE:
        return "attention", _CONFIRM
    looks = {RunState.SUCCEEDED: "ok", RunState.FAILED: "failed", RunState.CANCELLED: "neutral"}
    return looks[state], str(state.label)


def pace_words(progress: syncs.Progress) -> str:
    """Say how fast a run is and how long it will take: "210,000 rows/s · 4 s left"."""
    words = []
    if progress.rows_per_second:
        words.append(f"{progress.rows_per_second:,.0f} rows/s")
    if progress.seconds_left is not None:
        words.append(f"{duration_words(progress.seconds_left)} left")
    return " · ".join(words)


def summary(activation: Activation, standings: Sequence[Standing]) -> Summary:
    """Say in one line where a project's sync stands: the worst of its sources decides."""
    current = [standing for standing in standings if standing.source.status == Source.Status.ACTIVE]
    state, word = _worst(activation, current)
    finished = [standing.source.base_run.finished_at for standing in current if standing.source.base_run]
    return Summary(
        state=state,
        word=word,
        profiles=sum(standing.source.base_rows for standing in current),
        synced_at=max((at for at in finished if at), default=None),
        active=any(standing.active for standing in current),
    )


def _worst(activation: Activation, standings: Iterable[Standing]) -> tuple[str, str]:
    if not activation.enabled:
        return "neutral", "Off"
    found: dict[str, tuple[str, str]] = {}
    for standing in standings:
        found[standing.state] = found[standing.word] = (standing.state, standing.word)
    for name in ("failed", _CONFIRM, "working", OUT_OF_DATE, _BEHIND, "attention", "neutral"):
        if name in found:
            state, word = found[name]
            return state, {"failed": "A sync failed", "working": "Syncing"}.get(state, word)
    return ("ok", "In step") if found else ("attention", "Nothing to sync")


def _telling(source: Source, by_id: Mapping[int, SyncRun]) -> SyncRun | None:
    """Return the newest run, or the one that still waits for a confirmation while later ones were stopped."""
    newest, before = by_id.get(source.newest_run), by_id.get(source.not_stopped)  # type: ignore[attr-defined]  # annotated
    if newest is not None and newest.state == RunState.CANCELLED and before is not None:
        return before if guard.is_waiting(before, source) else newest
    return newest


def _standing(
    source: Source, run: SyncRun | None, progresses: Mapping[int, syncs.Progress], *, now: datetime
) -> Standing:
    if source.status == Source.Status.RETIRED:
        return Standing(source, "neutral", "Retired", run)
    if source.status == Source.Status.REMOVED:
        return Standing(source, "neutral", "Removed", run)
    if run is None:
        return Standing(source, "neutral", "Not synced yet")
    if run.state in ACTIVE_STATES:
        return Standing(source, *of_run(run), run, progresses.get(run.pk))
    if run.state != RunState.SUCCEEDED:
        return Standing(source, *of_run(run), run)
    newest: int | None = source.newest_profiles_run  # type: ignore[attr-defined]  # annotated by of_sources
    behind = newest is not None and source.seen_profiles_run_id != newest
    return _after_success(source, run, behind=behind, now=now)


def _after_success(source: Source, run: SyncRun, *, behind: bool, now: datetime) -> Standing:
    """Tell whether the newest run, which succeeded, is the one that should be the newest."""
    due_since = freshness.due_since(source, source.base_run) if behind or source.activation.schedule else None
    if due_since is not None and due_since + _OUT_OF_DATE_AFTER < now:
        return Standing(source, "attention", OUT_OF_DATE, run, due_since=due_since)
    if behind:
        return Standing(source, "attention", _BEHIND, run, due_since=due_since)
    if run.failed:
        return Standing(source, "attention", ROWS_FAILED, run)
    if run.kept_rows:
        return Standing(source, "attention", _KEEPS_MORE, run)
    return Standing(source, "ok", "In step", run)
