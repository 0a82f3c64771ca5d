"""Where a source stands, in every case at once; what a project, a destination and an organisation sum up from them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from activation import destination_list, overviews, source_list, standings
from activation.guard import CODE
from activation.models import (
    ACTIVE_STATES,
    Activation,
    GuardChoice,
    RedisDestination,
    RunState,
    Source,
    SyncPartition,
    SyncRun,
)
from activation.standings import Standing
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, Warehouse
from tests.cast import Member

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
HOURLY = {"kind": "basic", "minutes": 60, "since": "2026-01-01T00:00:00+00:00", "start": ""}
DAILY = {"kind": "cron", "expression": "0 3 * * *"}


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@dataclass
class Case:
    """A project with one source, which was made ten days ago and has seen the Profiles run of nine days ago."""

    source: Source

    @classmethod
    def of(cls, name: str, warehouse: Warehouse, destination: RedisDestination) -> "Case":
        slug = name.replace(" ", "-").replace(",", "")
        project = Project.objects.create(
            organisation=warehouse.organisation, warehouse=warehouse, output_schema="s", name=name, slug=slug
        )
        activation = Activation.objects.create(
            project=project, destination=destination, enabled_by="a@acme.example", enabled_at=ago(240)
        )
        source = Source.objects.create(
            activation=activation, destination=destination, entity=name, id_type="email", feature_view="v",
            base_snapshot="base", base_rows=100, created_at=ago(240),
        )  # fmt: skip
        case = cls(source)
        case.change(seen_profiles_run=case.profiles_run(216))
        return case

    def change(self, **values: Any) -> "Case":
        Source.objects.filter(pk=self.source.pk).update(**values)
        return self

    def set(self, **values: Any) -> "Case":
        Activation.objects.filter(pk=self.source.activation_id).update(**values)
        return self

    def profiles_run(self, hours: float, status: str = RunStatus.FINISHED) -> ProfilesRun:
        project = self.source.activation.project
        return ProfilesRun.objects.create(
            project=project, status=status, origin=RunOrigin.API, reference=str(hours), finished_at=ago(hours)
        )

    def run(self, state: str, hours: float = 1, **values: Any) -> "Case":
        """Let a sync have begun so many hours ago, and ended a minute later if it has ended."""
        at = ago(hours)
        ended = None if state in ACTIVE_STATES else at + timedelta(minutes=1)
        given = {"queued_at": at, "snapshot_at": at, "finished_at": ended, "base_snapshot": "base", **values}
        SyncRun.objects.create(source=self.source, trigger=SyncRun.Trigger.PERSON, state=state, **given)
        return self

    def good(self, hours: float = 1, **values: Any) -> "Case":
        """Let a sync have succeeded so many hours ago, and the base be its."""
        self.run(RunState.SUCCEEDED, hours, **values)
        return self.change(base_run=SyncRun.objects.filter(source=self.source).latest("pk"))

    def asks(self, hours: float = 2, **values: Any) -> "Case":
        """Let the guard have stopped a sync."""
        return self.run(RunState.FAILED, hours, error_code=CODE, error="Many would go.", deletes_planned=50, **values)


def covered(case: Case) -> Case:
    """The Profiles run that was synced ended, says the warehouse's clock, after the sync of it began."""
    return case.good(50, profiles_run=case.profiles_run(49))


OK, NOBODY, WORKS = ("ok", "In step"), "neutral", "working"
CASES: dict[str, tuple[Callable[[Case], object], tuple[str, str], float | None]] = {
    # name: what befell it, its state and word, and how many hours ago a sync was due
    "never": (lambda _: None, (NOBODY, "Not synced yet"), None),
    "queued": (lambda case: case.run(RunState.QUEUED), (WORKS, "Waiting for a worker"), None),
    "snapshot": (lambda case: case.run(RunState.SNAPSHOT), (WORKS, "Taking a snapshot"), None),
    "loading": (lambda case: case.good(50).run(RunState.LOADING), (WORKS, "Loading"), None),
    "finishing": (lambda case: case.run(RunState.FINISHING), (WORKS, "Finishing"), None),
    "failed": (lambda case: case.good(5).run(RunState.FAILED, error="No."), ("failed", "Failed"), None),
    "good after failed": (lambda case: case.run(RunState.FAILED, 5).good(), OK, None),
    "asks": (lambda case: case.good(50).asks(), ("attention", "Needs confirmation"), None),
    "stopped": (lambda case: case.good(5).run(RunState.CANCELLED), (NOBODY, "Stopped"), None),
    "asks, stopped": (
        lambda case: case.asks().run(RunState.CANCELLED).run(RunState.CANCELLED, 0.5),
        ("attention", "Needs confirmation"),
        None,
    ),
    "decided, stopped": (
        lambda case: (
            case.change(
                confirmed_base="base", confirmed_choice=GuardChoice.DELETE, confirmed_deletes=50
            )
            .asks()
            .run(RunState.CANCELLED)
        ),
        (NOBODY, "Stopped"),
        None,
    ),
    "asked of an old base, stopped": (
        lambda case: case.asks(base_snapshot="older").run(RunState.CANCELLED),
        (NOBODY, "Stopped"),
        None,
    ),
    "failed, stopped": (
        lambda case: case.asks(5).run(RunState.FAILED, 2).run(RunState.CANCELLED),
        (NOBODY, "Stopped"),
        None,
    ),
    "in step": (lambda case: case.good(), OK, None),
    "in step for long": (lambda case: case.good(200), OK, None),
    "rows failed": (lambda case: case.good(failed=3, kept_rows=2), ("attention", "Rows failed"), None),
    "keeps": (lambda case: case.good(kept_rows=2), ("attention", "Keeps profiles"), None),
    "behind": (lambda case: (case.good(5, failed=3), case.profiles_run(2)), ("attention", "Behind"), 2),
    "behind for a day": (lambda case: (case.good(50), case.profiles_run(24)), ("attention", "Behind"), 24),
    "out of date": (
        lambda case: (case.good(50), case.profiles_run(25), case.profiles_run(2)),
        ("attention", "Out of date"),
        25,
    ),
    "behind what was synced": (lambda case: (covered(case), case.profiles_run(3)), ("attention", "Behind"), 3),
    "failed Profiles run": (lambda case: (case.good(5), case.profiles_run(2, RunStatus.FAILED)), OK, None),
    "by hand": (lambda case: case.set(schedule={"kind": "manual"}).good(100), OK, None),
    "behind by hand": (
        lambda case: (case.set(schedule={"kind": "manual"}).good(100), case.profiles_run(50)),
        ("attention", "Behind"),
        None,
    ),
    "hourly": (lambda case: case.set(schedule=HOURLY).good(24.5), OK, None),
    "hourly, late": (lambda case: case.set(schedule=HOURLY).good(26.5), ("attention", "Out of date"), 26),
    "daily": (lambda case: case.set(schedule=DAILY).good(33), OK, None),
    "daily, late": (lambda case: case.set(schedule=DAILY).good(33.5), ("attention", "Out of date"), 33),
    "behind, daily": (
        lambda case: (case.set(schedule=DAILY).good(5), case.profiles_run(2)),
        ("attention", "Behind"),
        -15,
    ),
    "turned on again": (
        lambda case: (case.good(50).set(enabled_at=ago(3)), case.profiles_run(30)),
        ("attention", "Behind"),
        3,
    ),
    "turned on long ago": (
        lambda case: case.set(schedule={"kind": "manual"}, enabled_at=ago(30)).good(50),
        ("attention", "Out of date"),
        30,
    ),
    "lost its base": (
        lambda case: (case.run(RunState.SUCCEEDED), case.profiles_run(0.5)),
        ("attention", "Out of date"),
        240,
    ),
    "retired": (lambda case: case.good(5).change(status="retired"), (NOBODY, "Retired"), None),
    "being removed": (
        lambda case: case.good(5).change(status="removing").run(RunState.LOADING, kind="removal"),
        (WORKS, "Loading"),
        None,
    ),
    "removed": (
        lambda case: case.run("succeeded", 5).change(status="removed").run("succeeded", 1, kind="removal"),
        (NOBODY, "Removed"),
        None,
    ),
    "left": (
        lambda case: case.run("succeeded", 5).change(status="removed", left_at=ago(1)).run("failed", 1, kind="removal"),
        (NOBODY, "Left in Redis"),
        None,
    ),
}  # fmt: skip


@pytest.fixture
def every(warehouse: Warehouse, destination: RedisDestination) -> dict[str, Case]:
    """A project in each case, by the case's name."""
    cases = {}
    for name, (befall, _, _) in CASES.items():
        cases[name] = Case.of(name, warehouse, destination)
        befall(cases[name])
    return cases


def told(rows: list[Standing]) -> dict[str, tuple[tuple[str, str], float | None]]:
    hours = [(NOW - row.due_since).total_seconds() / 3600 if row.due_since else None for row in rows]
    return {row.source.entity: ((row.state, row.word), due) for row, due in zip(rows, hours, strict=True)}


WANTED = {name: (state, due) for name, (_, state, due) in CASES.items()}


def test_every_source_stands_where_it_should_among_all_others(every):
    assert told(standings.of_sources(Source.objects.all(), now=NOW)) == WANTED


@pytest.mark.parametrize("name", CASES)
def test_every_source_stands_where_it_should_alone(name, warehouse, destination):
    CASES[name][0](Case.of(name, warehouse, destination))

    assert told(standings.of_sources(Source.objects.all(), now=NOW)) == {name: WANTED[name]}


def test_a_source_tells_of_the_sync_that_decides_and_of_the_last_good_one(every):
    rows = {row.source.entity: row for row in standings.of_sources(Source.objects.all(), now=NOW)}
    runs = {run.pk: run for run in SyncRun.objects.all()}

    def ended(name: str) -> float | None:
        at = rows[name].synced_at
        return (NOW - at).total_seconds() / 3600 + 1 / 60 if at else None

    def queued(name: str) -> float:
        run = rows[name].run
        assert run is not None
        kept = runs[run.pk]
        assert run == (
            kept.pk, kept.public_id, kept.state, kept.error_code, kept.error, kept.failed, kept.kept_rows,
            kept.finished_at,
        )  # fmt: skip
        return (NOW - kept.queued_at).total_seconds() / 3600

    assert {name for name, row in rows.items() if row.run is None} == {"never"}
    assert [queued(name) for name in ("in step", "failed", "asks, stopped", "failed, stopped", "removed")] == [
        pytest.approx(hours) for hours in (1, 1, 2, 1, 1)
    ]
    assert [ended(name) for name in ("in step", "failed", "never", "removed", "lost its base")] == [
        hours if hours is None else pytest.approx(hours) for hours in (1, 5, None, 5, 1)
    ]
    assert all(row.source.base_run is None for row in (rows["never"], rows["removed"], rows["lost its base"]))


def test_a_source_that_loads_tells_how_far_it_is_and_no_other_does(every):
    for name, written in (("loading", 30), ("being removed", 60), ("finishing", 90)):
        run = every[name].source.runs.latest("pk")
        SyncPartition.objects.create(run=run, number=0, rows_planned=100, written=written)

    rows = standings.of_sources(Source.objects.all(), now=NOW)

    assert {row.source.entity: row.progress.percent for row in rows if row.progress} == {
        "loading": 30,
        "being removed": 60,
    }


SUMMED = {"Failed": "A sync failed"}
NOT_SUMMED = ("retired", "being removed", "removed", "left")  # what is not in the specification is no part of the sync


def summed(overview: overviews.Overview) -> dict[str, tuple[str, str]]:
    return {line.project.name: (line.summary.state, line.summary.word) for line in overview.lines if line.summary}


def test_every_project_on_the_overview_is_what_its_source_is(every, admin):
    wanted = {}
    for name, ((state, word), _) in WANTED.items():
        said = (state, "Syncing") if state == WORKS else (state, SUMMED.get(word, word))
        wanted[name] = ("attention", "Nothing to sync") if name in NOT_SUMMED else said

    overview = overviews.of(admin.actor, now=NOW)

    assert summed(overview) == wanted
    assert overview.profiles == 100 * (len(CASES) - len(NOT_SUMMED))
    [line] = destination_list.of(admin.actor, now=NOW)
    assert (line.sources, line.profiles) == (len(CASES) - len(NOT_SUMMED), overview.profiles)
    assert (line.state, line.word) == ("failed", "A sync failed")
    assert [activation.project_name for activation in line.activations] == [
        each.project.name for each in overview.lines
    ]


def test_the_worst_of_a_projects_sources_is_its_state(every):
    """Take away the worst of all sources again and again."""
    activation = every["in step"].source.activation
    rows = [row for row in standings.of_sources(Source.objects.all(), now=NOW) if row.source.active]
    seen = []
    while rows:
        summary = standings.summary(activation, rows)
        assert summary.profiles == 100 * len(rows)
        assert summary.active == any(row.state == WORKS for row in rows)
        word = "Failed" if summary.state == "failed" else summary.word
        left = [row for row in rows if word not in (row.word, {WORKS: "Syncing"}.get(row.state))]
        assert len(left) < len(rows)
        seen.append(summary.word)
        rows = left
    assert seen[:5] == ["A sync failed", "Needs confirmation", "Syncing", "Out of date", "Behind"]
    assert sorted(seen[5:7]) == ["Keeps profiles", "Rows failed"]
    assert sorted(seen[7:9]) == ["Not synced yet", "Stopped"]
    assert seen[9:] == ["In step"]
    assert standings.summary(activation, []).word == "Nothing to sync"
    activation.enabled = False
    assert standings.summary(activation, []).word == "Off"


ITEMS = {
    "failed": "A sync failed",
    "asks": "Needs confirmation",
    "asks, stopped": "Needs confirmation",
    "rows failed": "Rows failed",
    "out of date": "Out of date",
    "hourly, late": "Out of date",
    "daily, late": "Out of date",
    "turned on long ago": "Out of date",
    "lost its base": "Out of date",
    "retired": "Left behind",
    "failed Profiles run": "Profiles run failed",
}


@pytest.mark.parametrize("role", ["admin", "editor", "viewer"])
def test_what_needs_somebody_is_told_of_those_cases_and_no_other_to_every_role(role, every, request):
    member: Member = request.getfixturevalue(role)

    items = overviews.of(member.actor, now=NOW).items

    told_of = sorted((item.subject, item.word) for item in items if item.word != "Nothing to sync")
    assert told_of == sorted(ITEMS.items())
    assert {item.subject for item in items if item.word == "Nothing to sync"} == set(NOT_SUMMED)
    asks = [item for item in items if item.word == "Needs confirmation"]
    assert {item.page for item in asks} == {"activation:confirm" if role == "admin" else "activation:run"}


def test_nothing_is_told_of_projects_whose_sync_is_off(every, admin):
    Activation.objects.update(enabled=False)

    overview = overviews.of(admin.actor, now=NOW)

    assert {item.word for item in overview.items} == {"Profiles run failed"}
    assert set(summed(overview).values()) == {("neutral", "Off")}


def test_sources_of_another_organisation_count_nowhere(every, admin, outsider):
    for line in (*overviews.of(outsider.actor, now=NOW).lines, *destination_list.of(outsider.actor, now=NOW)):
        raise AssertionError(line)
    assert overviews.of(outsider.actor, now=NOW).items == []
    assert len(overviews.of(admin.actor, now=NOW).lines) == len(CASES)


@pytest.mark.parametrize("sort", [*source_list.SORTS, *(f"-{name}" for name in source_list.SORTS)])
def test_however_a_destinations_sources_are_sorted_each_comes_once(sort, every, destination, viewer):
    rows = source_list.of(viewer.actor, destination, now=NOW)

    names = [row.source.entity for row in source_list.found(rows, query="", sort=sort)]

    assert sorted(names) == sorted(CASES)
    if sort == "state":
        states = [WANTED[name][0][0] for name in names]
        assert states == sorted(states, key=standings.WORST_FIRST.index)


def test_three_of_each_case_cost_the_same_queries_as_one(every, warehouse, destination, admin):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            overviews.of(admin.actor, now=NOW)
        return len(captured)

    before = queries()
    for copy in ("second", "third"):
        for name, (befall, _, _) in CASES.items():
            if "stopped" not in name:  # whether the guard still waits is asked of each that it may wait for
                befall(Case.of(f"{copy} {name}", warehouse, destination))
    assert queries() == before
