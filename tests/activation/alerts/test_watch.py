"""What is noticed, when somebody is told, and when not again."""

import threading

import pytest
from django.db import connection

from activation import alert_watch, guard
from activation.models import (
    Activation,
    Alert,
    AlertDelivery,
    AlertSettings,
    RedisDestination,
    RunState,
    Source,
    SyncRun,
)
from activation.timetables import Basic, Manual
from tests.activation.alerts.conftest import finished_run, new_source

FAILED = "email: [Customers] The sync of features_by_email by email failed"
GUARD = "email: [Customers] The sync of features_by_email by email needs confirmation"
STALE = "email: [Customers] features_by_email by email is out of date"
WELL = "email: [Customers] features_by_email by email is in step again"


@pytest.fixture(autouse=True)
def somebody_is_told(told):
    """Every test here has somebody to tell."""


def test_a_failure_is_told_once(ends, look, clock):
    assert look() == []
    ends("grant_missing")
    assert look() == [FAILED]
    clock.on(hours=20)
    ends("grant_missing")
    assert look() == []


def test_while_a_problem_lasts_it_is_told_again_once_a_day(ends, look, clock):
    ends()
    ends("grant_missing")
    look()
    clock.on(hours=24)
    assert look() == [FAILED.replace("The sync", "Reminder: the sync")]
    clock.on(hours=23)
    assert look() == []
    clock.on(hours=1)
    assert len(look()) == 1


def test_another_cause_is_told_but_one_that_comes_and_goes_at_most_hourly(ends, look, clock):
    ends("grant_missing")
    look()
    clock.on(minutes=30)
    ends("view_unusable")
    assert look() == []
    clock.on(minutes=30)
    assert look() == [FAILED]
    assert Alert.objects.get().code == "view_unusable"
    clock.on(minutes=1)
    ends("grant_missing")
    assert look() == []


def test_the_end_of_a_problem_is_told_once_and_the_next_one_anew(ends, look, clock):
    ends("grant_missing")
    look()
    clock.on(minutes=1)
    ends()
    assert look() == [WELL]
    assert look() == []
    clock.on(minutes=1)
    ends("grant_missing")
    assert look() == [FAILED]
    assert Alert.objects.filter(closed_at=None).count() == 1


def test_a_success_without_a_problem_before_it_is_no_news(ends, look):
    ends()
    assert look() == []


def test_a_guard_stop_is_told_as_what_it_is_and_does_not_end_as_a_recovery(ends, look, clock):
    ends("grant_missing")
    look()
    clock.on(minutes=1)
    ends(guard.CODE)
    assert look() == [GUARD]
    assert list(Alert.objects.filter(closed_at=None).values_list("problem", flat=True)) == ["needs_confirmation"]


def test_a_stopped_run_says_nothing_about_the_one_before(ends, look, clock):
    ends("grant_missing")
    look()
    SyncRun.objects.create(
        source=Source.objects.get(),
        trigger=SyncRun.Trigger.PERSON,
        state=RunState.CANCELLED,
        finished_at=clock.on(minutes=1),
    )
    assert look() == []
    assert Alert.objects.filter(closed_at=None).exists()


def test_time_alone_makes_nothing_stale(ends, look, clock):
    ends()
    clock.on(days=30)
    assert look() == []


def test_a_profiles_run_without_a_good_sync_for_the_hours_that_were_set_makes_a_source_stale(
    ends, look, clock, project
):
    ends()
    finished_run(project, clock.on(hours=1), "one")
    clock.on(hours=20)
    finished_run(project, clock.now, "two")  # the wait is counted from the first one that was missed
    assert look() == []
    clock.on(hours=4, seconds=1)
    assert look() == [STALE]
    ends()
    assert look() == [WELL]


def test_the_profiles_run_that_was_synced_makes_nothing_stale_when_its_clock_is_ahead(ends, look, clock, project):
    run = finished_run(project, clock.now, "one")
    ends(profiles_run=run)
    type(run).objects.update(finished_at=clock.on(minutes=2))
    clock.on(days=2)
    assert look() == []


def test_a_time_of_the_schedule_without_a_good_sync_makes_a_source_stale(ends, look, clock, activation):
    ends()
    Activation.objects.update(schedule=Basic(minutes=60, since=clock.now).as_kept(), enabled_at=clock.now)
    clock.on(hours=24, minutes=59)
    assert look() == []
    clock.on(minutes=2)
    assert look() == [STALE]


def test_a_new_schedule_counts_from_when_it_was_made(ends, look, clock, activation):
    ends()
    clock.on(days=100)
    Activation.objects.update(schedule=Basic(minutes=1440, since=clock.now).as_kept())
    clock.on(hours=47)
    assert look() == []
    clock.on(hours=2)
    assert look() == [STALE]


def test_a_project_that_is_synced_by_hand_is_never_stale(ends, look, clock, activation, project):
    ends()
    Activation.objects.update(schedule=Manual().as_kept())
    finished_run(project, clock.on(hours=1), "one")
    clock.on(days=90)
    assert look() == []


def test_a_sync_that_was_turned_on_again_is_due_at_once(ends, look, clock, activation):
    ends()
    Activation.objects.update(enabled_at=clock.on(days=10), schedule=Manual().as_kept())
    assert look() == []
    clock.on(hours=25)
    assert look() == [STALE]


def test_a_source_that_was_never_synced_is_stale_in_the_end(look, clock, source):
    clock.on(hours=23)
    assert look() == []
    clock.on(hours=2)
    assert look() == [STALE]


def test_a_stale_source_whose_sync_fails_is_told_of_as_failed_unless_nobody_wants_that(ends, look, clock, project):
    ends()
    finished_run(project, clock.on(hours=1), "one")
    clock.on(hours=25)
    ends("grant_missing")
    assert look() == [FAILED]
    AlertSettings.objects.update(on_failed=False)
    assert look() == [STALE]
    ends()
    assert look() == [WELL]


def test_only_what_was_chosen_is_told(ends, look, clock, told):
    AlertSettings.objects.update(on_failed=False)
    ends("grant_missing")
    assert look() == []
    ends()
    assert look() == []
    AlertSettings.objects.update(on_failed=True, on_recovered=False)
    ends("grant_missing")
    assert look() == [FAILED]
    clock.on(minutes=1)
    ends()
    assert look() == []
    assert not Alert.objects.filter(closed_at=None).exists()


def test_what_is_turned_off_or_retired_is_forgotten_without_a_word(ends, look, activation, source):
    ends("grant_missing")
    look()
    Source.objects.update(status=Source.Status.RETIRED)
    assert look() == []
    assert not Alert.objects.filter(closed_at=None).exists()

    Source.objects.update(status=Source.Status.ACTIVE)
    look()
    Activation.objects.update(enabled=False)
    assert look() == []
    assert not Alert.objects.filter(closed_at=None).exists()


def test_sources_that_fail_together_make_one_e_mail_and_a_post_each(ends, look, activation, told):
    AlertSettings.objects.update(webhook_url="https://h.example/", webhook_secret="x")
    second = new_source(activation, "features_by_phone")
    ends("grant_missing")
    ends("grant_missing", of=second)
    assert look() == [
        "email: [Customers] 2 of its syncs have news",
        "webhook: The sync of features_by_email by email failed",
        "webhook: The sync of features_by_phone by email failed",
    ]
    text = AlertDelivery.objects.get(channel="email").content["text"]
    assert "features_by_email" in text
    assert "features_by_phone" in text


def test_one_project_that_breaks_does_not_silence_the_others(ends, look, activation, monkeypatch, admin, caplog):
    ends("grant_missing")
    real = alert_watch.problems
    monkeypatch.setattr(alert_watch, "problems", lambda *_, **__: 1 / 0)
    assert look() == []
    monkeypatch.setattr(alert_watch, "problems", real)
    assert look() == [FAILED]


@pytest.mark.django_db(transaction=True)
def test_two_looks_at_once_tell_once(ends, clock):
    ends("grant_missing")
    barrier = threading.Barrier(2)

    def one():
        try:
            barrier.wait(10)
            alert_watch.look(now=clock.now)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert Alert.objects.count() == 1
    assert AlertDelivery.objects.count() == 1


def test_a_removal_that_failed_is_told_though_the_sync_is_off(source, look, clock):
    ends_removal(source, clock, "grant_missing")
    Source.objects.update(status=Source.Status.REMOVING)
    Activation.objects.update(enabled=False)
    assert look() == ["email: [Customers] The removal of features_by_email by email failed"]
    assert "is served until a removal succeeds" in AlertDelivery.objects.latest("pk").content["text"]

    clock.on(minutes=1)
    Source.objects.update(status=Source.Status.REMOVED)
    assert look() == []
    assert not Alert.objects.filter(closed_at=None).exists()


def test_a_sync_that_failed_before_a_removal_is_no_news_of_the_removal(source, ends, look):
    ends("grant_missing")
    Source.objects.update(status=Source.Status.REMOVING)
    assert look() == []


def test_a_sync_that_failed_at_the_other_place_of_a_move_is_told_for_the_source_that_is_served(
    source, ends, look, clock
):
    ends()
    other = Source.every_place.create(
        activation=source.activation,
        destination=RedisDestination.every_place.create(
            organisation=source.destination.organisation, name="Redis", other_place_of=source.destination
        ),
        other_place_of=source,
        entity=source.entity,
        id_type=source.id_type,
        feature_view=source.feature_view,
    )
    failed = ends("grant_missing", of=other)
    [told] = look()
    assert told.startswith("email: [Customers] The move of features_by_email by email waits")
    alert = Alert.objects.get()
    assert (alert.source, alert.run) == (source, failed)

    clock.on(minutes=1)
    SyncRun.objects.filter(pk=failed.pk).update(state=RunState.SUCCEEDED, error_code="")
    assert look() == [WELL]


def ends_removal(source, clock, code):
    SyncRun.objects.create(
        source=source,
        kind=SyncRun.Kind.REMOVAL,
        trigger=SyncRun.Trigger.PERSON,
        state=RunState.FAILED,
        error_code=code,
        queued_at=clock.now,
        finished_at=clock.now,
    )
