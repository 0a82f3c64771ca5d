"""The tick that starts what is due, decided from rows."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import schedules, syncs, tasks, watching
from activation.models import Activation, RedisDestination, RunState, Source, SyncRun
from activation.timetables import AfterProfilesRuns, Basic, Cron, Manual
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, Warehouse, WarehouseKind
from tests.cast import Member

NOW = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)
HOURLY = Basic(minutes=60, since=NOW)


@pytest.fixture
def activation(admin: Member) -> Activation:
    """A project with two sources; nothing here dials anything."""
    warehouse = Warehouse.objects.create(
        organisation=admin.organisation, name="Files", kind=WarehouseKind.DUCKDB, settings={"file": "a.duckdb"}
    )
    project = Project.objects.create(
        organisation=admin.organisation, warehouse=warehouse, output_schema="p", name="Customers", slug="customers"
    )
    destination = RedisDestination.objects.create(
        organisation=admin.organisation, workspace_id="w", name="Redis", settings={"address": "r:6379"}
    )
    activation = Activation.objects.create(
        project=project, destination=destination, enabled_by="ada", enabled_at=NOW - timedelta(days=1)
    )
    for view in ("a", "b"):
        Source.objects.create(
            activation=activation, destination=destination, entity="user", id_type="email", feature_view=view
        )
    return activation


def every_hour(activation: Activation, admin: Member) -> None:
    schedules.change(activation, HOURLY, by=admin.actor, now=NOW)


def due(minutes: float) -> list[SyncRun]:
    """Tick so many minutes after the schedule was set."""
    return schedules.start_due(now=NOW + timedelta(minutes=minutes))


def end_all() -> None:
    SyncRun.objects.update(state=RunState.SUCCEEDED)


def test_nothing_starts_before_it_is_due(activation, admin):
    every_hour(activation, admin)

    assert due(59.9) == []


def test_every_source_is_synced_once_when_it_is_due(activation, admin):
    every_hour(activation, admin)

    started = due(60)

    assert len(started) == 2
    assert {(run.trigger, run.kind) for run in started} == {(SyncRun.Trigger.SCHEDULE, SyncRun.Kind.INCREMENTAL)}
    end_all()
    assert due(60.1) == []
    assert len(due(120)) == 2


def test_a_night_without_ticks_leads_to_one_sync(activation, admin):
    every_hour(activation, admin)

    assert len(due(12 * 60 + 7)) == 2

    end_all()
    assert due(12 * 60 + 8) == []
    activation.refresh_from_db()
    assert activation.next_sync_at == NOW + timedelta(hours=13)


def test_setting_what_is_set_leaves_due_what_is_due(activation, admin):
    every_hour(activation, admin)

    schedules.change(activation, HOURLY, by=admin.actor, now=NOW + timedelta(minutes=60.1))

    assert len(due(60.2)) == 2
    assert AuditEvent.objects.filter(action="schedule_changed").count() == 1


def test_two_ticks_at_once_start_one(activation, admin, monkeypatch):
    every_hour(activation, admin)
    move_on = schedules._move_on
    other: list[SyncRun] = []

    def another_tick_first(seen, *, now):
        monkeypatch.setattr(schedules, "_move_on", move_on)
        other.extend(schedules.start_due(now=now))
        end_all()
        return move_on(seen, now=now)

    monkeypatch.setattr(schedules, "_move_on", another_tick_first)

    assert due(60) == []
    assert len(other) == 2


def test_a_sync_that_is_due_while_one_is_active_follows_it(activation, admin):
    every_hour(activation, admin)
    due(60)

    assert due(120) == []
    assert due(180) == []
    assert watching.start_follow_ups(now=NOW) == []
    end_all()

    assert len(watching.start_follow_ups(now=NOW)) == 2
    end_all()
    assert watching.start_follow_ups(now=NOW) == []


def test_nothing_is_due_while_the_sync_is_turned_off_nor_made_up_for_afterwards(activation, admin):
    every_hour(activation, admin)
    Activation.objects.update(enabled=False)
    assert due(60) == []

    Activation.objects.update(enabled=True, enabled_at=NOW + timedelta(minutes=90))

    assert due(90) == []
    assert len(due(120)) == 2


def test_a_retired_source_is_left_alone(activation, admin):
    every_hour(activation, admin)
    Source.objects.filter(feature_view="b").update(status=Source.Status.RETIRED)

    assert [run.source.feature_view for run in due(60)] == ["a"]


@pytest.mark.parametrize("timetable", [AfterProfilesRuns(), Manual()])
def test_a_schedule_that_does_not_go_by_the_clock_is_never_due(activation, admin, timetable):
    every_hour(activation, admin)
    schedules.change(activation, timetable, by=admin.actor, now=NOW)

    assert due(10**6) == []


def test_a_new_schedule_counts_from_when_it_was_set(activation, admin):
    every_hour(activation, admin)
    schedules.change(activation, Cron("30 3 * * *"), by=admin.actor, now=NOW)

    assert due(60) == []
    assert len(due(17.5 * 60)) == 2
    assert AuditEvent.objects.filter(action="schedule_changed").latest("pk").details == {
        "schedule": "at 30 3 * * * (UTC)"
    }


@pytest.mark.parametrize(
    ("timetable", "runs"), [(AfterProfilesRuns(), 2), (Manual(), 0), (HOURLY, 0), (Cron("0 3 * * *"), 0)]
)
def test_a_finished_profiles_run_starts_syncs_only_where_the_schedule_says_so(activation, admin, timetable, runs):
    schedules.change(activation, timetable, by=admin.actor, now=NOW)
    ProfilesRun.objects.create(
        project=activation.project, status=RunStatus.FINISHED, origin=RunOrigin.API, reference="r", finished_at=NOW
    )

    assert len(watching.start_syncs_of_new_runs(now=NOW)) == runs


def test_editors_may_change_the_schedule_and_viewers_may_not(activation, editor, viewer):
    with pytest.raises(PermissionRefused):
        schedules.change(activation, Manual(), by=viewer.actor, now=NOW)

    schedules.change(activation, Manual(), by=editor.actor, now=NOW)

    activation.refresh_from_db()
    assert schedules.of(activation) == Manual()


def test_a_run_that_a_person_starts_under_a_manual_schedule_is_the_only_one(activation, editor):
    schedules.change(activation, Manual(), by=editor.actor, now=NOW)
    source = Source.objects.filter(feature_view="a").get()

    syncs.request(source, trigger=SyncRun.Trigger.PERSON, by=editor.actor, now=NOW)

    assert due(10**6) == watching.start_syncs_of_new_runs(now=NOW) == []
    assert SyncRun.objects.count() == 1


def test_the_tick_starts_what_is_due_and_what_was_to_follow(activation, admin, monkeypatch):
    monkeypatch.setattr(tasks, "wake", lambda: None)
    schedules.change(activation, HOURLY, by=admin.actor, now=NOW)
    followed, scheduled = Source.objects.order_by("feature_view")
    asked = {"trigger": SyncRun.Trigger.API, "by": admin.actor, "now": NOW}
    Activation.objects.update(next_sync_at=None)
    syncs.request(followed, **asked)
    syncs.request(followed, **asked)
    end_all()

    tasks.tick()
    assert [run.trigger for run in SyncRun.objects.filter(state=RunState.QUEUED)] == [SyncRun.Trigger.API]

    end_all()
    Activation.objects.update(next_sync_at=NOW)
    tasks.tick()
    started = SyncRun.objects.filter(state=RunState.QUEUED)
    assert {(run.source_id, run.trigger) for run in started} == {
        (followed.pk, SyncRun.Trigger.SCHEDULE),
        (scheduled.pk, SyncRun.Trigger.SCHEDULE),
    }
