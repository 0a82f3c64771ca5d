"""Where each source and each activation stands, in the words that pages show.

Reads only. A state is one of the five that a badge knows: ok, working, attention, failed, neutral.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.models import Organisation
from accounts.templatetags.components import duration_words
from activation import briefs, freshness, guard, run_progress
from activation.briefs import ActivationBrief, RunBrief, SourceBrief
from activation.models import ACTIVE_STATES, Activation, RunState, Source, SyncRun

_PHASE_WORDS = {
    RunState.QUEUED: "Waiting for a worker",
    RunState.SNAPSHOT: "Taking a snapshot",
    RunState.LOADING: "Loading",
    RunState.FINISHING: "Finishing",
}


WORST_FIRST = ("failed", "attention", "working", "ok", "neutral")  # from what needs somebody to what needs nobody
_CONFIRM = "Needs confirmation"
_HELD_UP = "Trying again"
ROWS_FAILED, _KEEPS_MORE = "Rows failed", "Keeps profiles"
_BEHIND, OUT_OF_DATE = "Behind", "Out of date"
_OUT_OF_DATE_AFTER = timedelta(hours=24)


class Standing(NamedTuple):
    """Where a source stands: `run` is its newest run, `progress` is there while that one loads.

    `run` is an earlier one where that still waits for a confirmation, and the newer ones were stopped. `due_since` is
    when a sync was due that has not been done, where one is; `synced_at` is when the last good one ended.
    """

    source: SourceBrief
    activation: ActivationBrief
    state: str
    word: str
    run: RunBrief | None = None
    progress: run_progress.Progress | None = None
    due_since: datetime | None = None

    @property
    def synced_at(self) -> datetime | None:
        """Tell when the last good sync ended, also once its profiles were removed."""
        return self.source.synced_at

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


Synced: TypeAlias = tuple[ActivationBrief, list[Standing]]  # a project's switch and where each of its sources stands


@dataclass(frozen=True)
class Summary:
    """Where a whole activation stands, in one line."""

    state: str
    word: str
    profiles: int
    synced_at: datetime | None
    active: bool


def of_sources(sources: QuerySet[Source], *, now: datetime) -> list[Standing]:
    """Tell where each source stands, in a fixed number of queries however many there are."""
    found = briefs.of_sources(sources)
    activations = Activation.objects.filter(pk__in={source.activation_id for source in found})
    return of(found, briefs.of_activations(activations), now=now)


def of_organisation(organisation: Organisation, *, now: datetime) -> list[Synced]:
    """Tell where the sources of each of an organisation's activations stand, by the names of their projects."""
    sources = briefs.of_sources(Source.objects.filter(activation__project__organisation=organisation))
    activations = briefs.of_activations(Activation.objects.filter(project__organisation=organisation))
    rows: dict[int, list[Standing]] = {key: [] for key in activations}
    for standing in of(sources, activations, now=now):
        rows[standing.activation.pk].append(standing)
    return [(activation, rows[key]) for key, activation in activations.items()]


def of(sources: Sequence[SourceBrief], activations: Mapping[int, ActivationBrief], *, now: datetime) -> list[Standing]:
    """Tell where each source stands, given the activations by primary key, which were read after the sources.

    So a Profiles run is never taken for unseen by a source that has just seen it. A source whose activation is not
    there any more is gone too.
    """
    present = [(source, activations[source.activation_id]) for source in sources if source.activation_id in activations]
    telling = _telling(sources)
    behind = [source.pk for source, activation in present if _is_behind(source, activation)]
    first_runs = freshness.first_runs(Source.objects.filter(pk__in=behind)) if behind else {}
    loading = [run.pk for run in telling.values() if run.state == RunState.LOADING]
    runs = SyncRun.objects.filter(pk__in=loading).defer("columns", "evictions", "warnings", "offer")  # may be long
    progresses = run_progress.of_all(list(runs), now=now) if loading else {}
    return [
        _standing(source, activation, telling.get(source.pk), _Known(first_runs, progresses, now))
        for source, activation in present
    ]


def of_run(run: SyncRun | RunBrief) -> tuple[str, str]:
    """Return the state and the word of a single run's badge."""
    state = RunState(run.state)
    if state in _PHASE_WORDS:
        return "working", _PHASE_WORDS[state]
    if state == RunState.FAILED and run.error_code == guard.CODE:
        return "attention", _CONFIRM
    looks = {RunState.SUCCEEDED: "ok", RunState.FAILED: "failed", RunState.CANCELLED: "neutral"}
    return looks[state], str(state.label)


def pace_words(progress: run_progress.Progress) -> str:
    """Say how fast a run is and how long it will take: "210,000 rows/s · 4 s left"; or that it is held up."""
    if progress.held_up:
        return _HELD_UP
    words = []
    if progress.rows_per_second:
        words.append(f"{progress.rows_per_second:,.0f} rows/s")
    if progress.seconds_left is not None:
        words.append(f"{duration_words(progress.seconds_left)} left")
    return " · ".join(words)


def summary(activation: Activation | ActivationBrief, standings: Sequence[Standing]) -> Summary:
    """Say in one line where a project's sync stands: the worst of its sources decides."""
    current = [standing for standing in standings if standing.source.active]
    state, word = _worst(current) if activation.enabled else ("neutral", "Off")
    finished = [standing.synced_at for standing in current if standing.source.base_run is not None]
    return Summary(
        state=state,
        word=word,
        profiles=sum(standing.source.base_rows for standing in current),
        synced_at=max((at for at in finished if at), default=None),
        active=any(standing.active for standing in current),
    )


def _worst(standings: Iterable[Standing]) -> tuple[str, str]:
    found: dict[str, tuple[str, str]] = {}
    for standing in standings:
        found[standing.state] = found[standing.word] = (standing.state, standing.word)
    for name in ("failed", _CONFIRM, "working", OUT_OF_DATE, _BEHIND, "attention", "neutral"):
        if name in found:
            state, word = found[name]
            return state, {"failed": "A sync failed", "working": "Syncing"}.get(state, word)
    return ("ok", "In step") if found else ("attention", "Nothing to sync")


def _telling(sources: Sequence[SourceBrief]) -> dict[int, RunBrief]:
    """Return each source's newest run, or the one that still waits for a confirmation while later ones were stopped."""
    known = {source.base_run.pk: source.base_run for source in sources if source.base_run is not None}
    known |= briefs.of_runs({source.newest_run for source in sources if source.newest_run} - known.keys())
    newest = {source.pk: known[source.newest_run] for source in sources if source.newest_run in known}
    waiting = _waiting([key for key, run in newest.items() if run.state == RunState.CANCELLED])
    runs = briefs.of_runs(waiting.values())
    return newest | {key: runs[run] for key, run in waiting.items() if run in runs}


def _waiting(sources: Collection[int]) -> dict[int, int]:
    """Return, of sources whose newest run was stopped, the run before that waits for a confirmation."""
    if not sources:
        return {}
    before = SyncRun.objects.filter(source=OuterRef("source")).exclude(state=RunState.CANCELLED)
    newest = Subquery(before.order_by("-queued_at", "-pk").values("pk")[:1])
    # What the guard has not stopped cannot wait for it; whether the others do, it says itself.
    found = SyncRun.objects.filter(source__in=sources, error_code=guard.CODE, pk=newest).select_related("source")
    return {run.source_id: run.pk for run in found if guard.is_waiting(run, run.source)}


def _is_behind(source: SourceBrief, activation: ActivationBrief) -> bool:
    newest = activation.newest_profiles_run
    return newest is not None and source.seen_profiles_run_id != newest


class _Known(NamedTuple):
    """What was read for all sources at once; `first_runs` are of those that are behind."""

    first_runs: Mapping[int, datetime]
    progresses: Mapping[int, run_progress.Progress]
    now: datetime


def _standing(source: SourceBrief, activation: ActivationBrief, run: RunBrief | None, known: _Known) -> Standing:
    if source.status == Source.Status.RETIRED:
        return Standing(source, activation, "neutral", "Retired", run)
    if source.status == Source.Status.REMOVED:
        return Standing(source, activation, "neutral", "Left in Redis" if source.left_at else "Removed", run)
    if run is None:
        return Standing(source, activation, "neutral", "Not synced yet")
    if run.state == RunState.SUCCEEDED:
        return _after_success(source, activation, run, known)
    return Standing(source, activation, *of_run(run), run, known.progresses.get(run.pk))


def _after_success(source: SourceBrief, activation: ActivationBrief, run: RunBrief, known: _Known) -> Standing:
    """Tell whether the newest run, which succeeded, is the one that should be the newest."""
    behind = _is_behind(source, activation)
    due_since = _due_since(source, activation, known, behind=behind)
    if due_since is not None and due_since + _OUT_OF_DATE_AFTER < known.now:
        return Standing(source, activation, "attention", OUT_OF_DATE, run, due_since=due_since)
    if behind:
        return Standing(source, activation, "attention", _BEHIND, run, due_since=due_since)
    if run.failed:
        return Standing(source, activation, "attention", ROWS_FAILED, run)
    if run.kept_rows:
        return Standing(source, activation, "attention", _KEEPS_MORE, run)
    return Standing(source, activation, "ok", "In step", run)


def _due_since(source: SourceBrief, activation: ActivationBrief, known: _Known, *, behind: bool) -> datetime | None:
    """Tell since when a sync has been due where that says where the source stands.

    Of one that has seen the newest Profiles run it does so once it is out of date, and nothing is due before the last
    good sync began. To read a schedule costs more than all else here.
    """
    if not behind and (not activation.schedule or source.began_at + _OUT_OF_DATE_AFTER >= known.now):
        return None
    return freshness.due_after(
        source.began_at,
        synced=source.base_run is not None,
        enabled_at=activation.enabled_at,
        schedule=activation.schedule,
        first_run=lambda: known.first_runs.get(source.pk),
    )
