"""A project's time line: its Profiles runs with the syncs they caused, and its other syncs, newest first.

Two tables are merged by time. A page is found by where the one before ended (its `Cursor`) and not by counting, and
reads as many rows of each table as it shows, so that it costs the same with ten runs and with many thousands.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import Coalesce, RowNumber

from accounts.templatetags.components import duration_words
from activation import guard, run_pages
from activation.models import ACTIVE_STATES, RunState, Source, SyncRun
from activation.run_pages import Line
from projects.models import ProfilesRun, Project, RunStatus

ENTRIES_A_PAGE = 20
SYNCS_SHOWN = 6

# What a state of the filter means for a sync, and for a Profiles run.
STATES: dict[str, tuple[str, Q, str]] = {
    "active": ("Under way", Q(state__in=ACTIVE_STATES), RunStatus.RUNNING),
    "succeeded": ("Succeeded", Q(state=RunState.SUCCEEDED), RunStatus.FINISHED),
    "failed": ("Failed", Q(state=RunState.FAILED), RunStatus.FAILED),
    "confirm": ("Needs confirmation", Q(state=RunState.FAILED, error_code=guard.CODE), ""),
    "stopped": ("Stopped", Q(state=RunState.CANCELLED), ""),
}
_CAUSED = Q(trigger=SyncRun.Trigger.PROFILES_RUN, profiles_run__isnull=False)
_CURSOR = re.compile(r"(\d{16})-([01])-(\d{1,18})")
_SYNC, _PROFILES = 1, 0  # of the same moment, a sync comes after the Profiles run: it is newer
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
Row = TypeVar("Row", SyncRun, ProfilesRun)


@dataclass(frozen=True)
class Search:
    """What is looked for; empty parts are left out.

    `kind` is `profiles` or `syncs`, `trigger` a sync's trigger or a Profiles run's origin, `run` a Profiles run whose
    syncs are wanted, `until` does not belong to the time.
    """

    kind: str = ""
    state: str = ""
    source: Source | None = None
    trigger: str = ""
    origin: str = ""
    run: ProfilesRun | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, order=True)
class Cursor:
    """A place on the time line: an entry's time, its table, and its key."""

    at: datetime
    rank: int
    key: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND:016}-{self.rank}-{self.key}"

    @classmethod
    def of(cls, row: SyncRun | ProfilesRun) -> "Cursor":
        """Return where a row is."""
        return cls(row.at, _SYNC if isinstance(row, SyncRun) else _PROFILES, row.pk)  # type: ignore[union-attr]  # annotated

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """Read what an address says; None for what is no place."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            return None
        microseconds, rank, key = map(int, found.groups())
        return cls(_EPOCH + microseconds * _MICROSECOND, rank, key)


@dataclass(frozen=True)
class Entry:
    """A Profiles run with some of the syncs it caused, or a sync that none caused.

    `length` is how long the Profiles run took so far, where that is known; `more` counts its syncs that are left out.
    """

    run: ProfilesRun | None
    lines: tuple[Line, ...]
    length: str = ""
    more: int = 0


@dataclass(frozen=True)
class Page:
    """A stretch of the time line; `newer` and `older` are the cursors of what is before and after it, or empty."""

    entries: tuple[Entry, ...]
    newer: str
    older: str

    @property
    def active(self) -> bool:
        """Whether something on it is under way."""
        return any(
            (entry.run is not None and entry.run.status == RunStatus.RUNNING)
            or any(line.run.state in ACTIVE_STATES for line in entry.lines)
            for entry in self.entries
        )


def page(
    project: Project, search: Search, *, now: datetime, before: Cursor | None = None, after: Cursor | None = None
) -> Page:
    """Read the entries older than `before`, or those newer than `after`, in a fixed number of queries."""
    newer = after is not None
    rows: list[SyncRun | ProfilesRun] = [
        *_stretch(_syncs(project, search), _SYNC, after or before, newer=newer),
        *_stretch(_profiles_runs(project, search), _PROFILES, after or before, newer=newer),
    ]
    rows.sort(key=Cursor.of, reverse=not newer)
    goes_on = len(rows) > ENTRIES_A_PAGE
    if newer and not goes_on:
        return page(project, search, now=now)  # the newest page is a whole one
    rows = rows[:ENTRIES_A_PAGE]
    if newer:
        rows.reverse()
    return Page(
        entries=_entries(rows, grouped=search == Search(), now=now),
        newer=str(Cursor.of(rows[0])) if rows and (newer or before is not None) else "",
        older=str(Cursor.of(rows[-1])) if rows and (newer or goes_on) else "",
    )


def sources_of(project: Project) -> list[Source]:
    """List the project's sources, as people choose among them."""
    return list(Source.objects.filter(activation__project=project).order_by("feature_view", "id_type", "pk"))


def _syncs(project: Project, search: Search) -> QuerySet[SyncRun]:
    rows = SyncRun.objects.annotate(at=F("queued_at")).select_related("source__other_place_of", "profiles_run")
    if search.kind == "profiles" or search.origin:
        return rows.none()
    at_places = Source.every_place.filter(activation__project=project)
    if search.source is not None:
        at_places = at_places.filter(Q(pk=search.source.pk) | Q(other_place_of=search.source))
    # The keys first: with them the index of a source by time is enough to find the newest.
    rows = rows.filter(source__in=list(at_places.values_list("pk", flat=True)))
    if search == Search():
        rows = rows.exclude(_CAUSED)
    if search.state:
        rows = rows.filter(STATES[search.state][1])
    if search.trigger:
        rows = rows.filter(trigger=search.trigger)
    if search.run is not None:
        rows = rows.filter(_CAUSED, profiles_run=search.run)
    return _within(rows, search)


def _profiles_runs(project: Project, search: Search) -> QuerySet[ProfilesRun]:
    rows = project.runs.annotate(at=Coalesce("finished_at", "created_at"))
    if search.kind == "syncs" or search.source is not None or search.trigger:
        return rows.none()
    if search.state:
        rows = rows.filter(status=STATES[search.state][2])
    if search.origin:
        rows = rows.filter(origin=search.origin)
    if search.run is not None:
        rows = rows.filter(pk=search.run.pk)
    return _within(rows, search)


def _within(rows: QuerySet[Row], search: Search) -> QuerySet[Row]:
    if search.since:
        rows = rows.filter(Q(at__gte=search.since))
    if search.until:
        rows = rows.filter(Q(at__lt=search.until))
    return rows


def _stretch(rows: QuerySet[Row], rank: int, cursor: Cursor | None, *, newer: bool) -> list[Row]:
    """Read one row more than a page has, beyond the cursor."""
    direction = "gt" if newer else "lt"
    if cursor is not None:
        beyond = Q(**{f"at__{direction}": cursor.at})
        if rank == cursor.rank:
            beyond |= Q(at=cursor.at, **{f"pk__{direction}": cursor.key})
        elif (rank > cursor.rank) == newer:
            beyond |= Q(at=cursor.at)
        # The first condition alone is what an index can use.
        rows = rows.filter(**{f"at__{direction}e": cursor.at}).filter(beyond)
    order = ("at", "pk") if newer else ("-at", "-pk")
    return list(rows.order_by(*order)[: ENTRIES_A_PAGE + 1])


def _entries(rows: Iterable[SyncRun | ProfilesRun], *, grouped: bool, now: datetime) -> tuple[Entry, ...]:
    rows = list(rows)
    caused = _caused([row for row in rows if isinstance(row, ProfilesRun)]) if grouped else {}
    alone = [row for row in rows if isinstance(row, SyncRun)]
    told = run_pages.lines([*alone, *(sync for syncs in caused.values() for sync in syncs)], now=now)
    by_run = {line.run.pk: line for line in told}
    entries = []
    for row in rows:
        if isinstance(row, SyncRun):
            entries.append(Entry(None, (by_run[row.pk],)))
            continue
        syncs = caused.get(row.pk, [])
        more = syncs[0].in_all - len(syncs) if syncs else 0  # type: ignore[attr-defined]  # annotated
        entries.append(Entry(row, tuple(by_run[sync.pk] for sync in syncs), _length(row, now=now), more))
    return tuple(entries)


def _length(run: ProfilesRun, *, now: datetime) -> str:
    """Say how long a run took that was started here; of others only the end is known."""
    return duration_words(((run.finished_at or now) - run.started_at).total_seconds()) if run.started_at else ""


def _caused(runs: list[ProfilesRun]) -> dict[int, list[SyncRun]]:
    """Read the newest syncs that each run caused, with how many there are in all."""
    if not runs:
        return {}
    each = F("profiles_run_id")
    rows = (
        SyncRun.objects.filter(_CAUSED, profiles_run__in=[run.pk for run in runs])
        .annotate(
            in_all=Window(Count("pk"), partition_by=each),
            place=Window(RowNumber(), partition_by=each, order_by=(F("queued_at").desc(), F("pk").desc())),
        )
        .filter(place__lte=SYNCS_SHOWN)
        .select_related("source__other_place_of")
        .order_by("-queued_at", "-pk")
    )
    found: dict[int, list[SyncRun]] = {}
    for row in rows:
        found.setdefault(row.profiles_run_id or 0, []).append(row)
    return found
