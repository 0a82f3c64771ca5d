"""*Sync Now*, *Reset History and Full Sync*, *Stop Now* and *Schedule*, as a browser without JavaScript uses them."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from activation import schedules, watching
from activation.models import Activation, RunState, Source, SyncRun
from activation.timetables import AfterProfilesRuns, Cron, Manual
from projects.models import Project

FULL = SyncRun.Kind.FULL


def of_project(name: str, project: Project) -> str:
    return reverse(f"activation:{name}", kwargs={"organisation": "acme", "project": project.slug})


def of_source(name: str, source: Source) -> str:
    return reverse(f"activation:{name}", kwargs={"organisation": "acme", "source": source.public_id})


def of_run(name: str, run: SyncRun) -> str:
    return reverse(f"activation:{name}", kwargs={"organisation": "acme", "run": run.public_id})


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def source(activation: Activation) -> Source:
    """A source whose first sync has ended."""
    SyncRun.objects.update(state=RunState.SUCCEEDED, finished_at=timezone.now())
    return Source.objects.get(id_type="email")


# One source


def test_sync_now_leads_to_the_run_it_started(source, editor):
    page = editor.client.get(of_source("source", source))
    assert 'id="sync-now">Sync Now' in text(page)
    assert "Stop Now" not in text(page)

    answer = editor.client.post(of_source("sync_source", source))

    run = SyncRun.objects.latest("pk")
    assert (answer.status_code, answer.url) == (303, of_run("run", run))
    assert (run.trigger, run.requested_by, run.kind) == (
        SyncRun.Trigger.PERSON,
        editor.user.email,
        SyncRun.Kind.INCREMENTAL,
    )


def test_while_a_sync_is_active_another_one_after_it_is_offered(source, editor):
    editor.client.post(of_source("sync_source", source))
    assert "Sync again after it" in text(editor.client.get(of_source("source", source)))

    page = text(editor.client.post(of_source("sync_source", source), follow=True))

    assert "A sync is active; another one follows it." in page
    assert f"Another sync follows it, asked for by {editor.user.email}." in page
    assert SyncRun.objects.filter(source=source).count() == 2


def test_reset_history_and_full_sync_says_what_it_does_and_asks_first(source, editor):
    page = text(editor.client.get(of_source("full_sync_source", source)))
    assert "Every row of features_by_email is written to Redis anew" in page
    assert "Yes, sync every row" in page
    assert not SyncRun.objects.filter(kind=FULL).exists()

    answer = editor.client.post(of_source("full_sync_source", source))

    run = SyncRun.objects.get(kind=FULL)
    assert answer.url == of_run("run", run)
    assert run.full_reason == "requested"


def test_a_full_sync_that_is_asked_for_while_one_is_active_follows_it(source, editor):
    editor.client.post(of_source("sync_source", source))
    assert "The full sync follows it." in text(editor.client.get(of_source("full_sync_source", source)))

    page = text(editor.client.post(of_source("full_sync_source", source), follow=True))

    assert "A sync is active; a full one follows it." in page
    SyncRun.objects.update(state=RunState.SUCCEEDED)
    (run,) = watching.start_follow_ups(now=timezone.now())
    assert run.kind == FULL


def test_the_state_of_a_source_asks_for_itself_while_a_sync_is_active(source, editor):
    assert "hx-trigger" not in text(editor.client.get(of_source("source", source)))
    editor.client.post(of_source("sync_source", source))

    fragment = text(editor.client.get(of_source("source", source), headers={"HX-Request": "true"}))

    assert 'hx-trigger="every 2s"' in fragment
    assert "<html" not in fragment


def test_viewers_see_no_button_that_they_may_not_press(source, viewer):
    run = SyncRun.objects.create(source=source, trigger=SyncRun.Trigger.SCHEDULE)

    for page in (of_source("source", source), of_run("run", run), of_project("settings", source.activation.project)):
        shown = text(viewer.client.get(page))
        assert [button for button in ("sync-now", "full-sync", "stop-now") if f'id="{button}"' in shown] == []


def test_a_source_that_is_retired_says_so_and_cannot_be_synced(source, editor):
    Source.objects.filter(pk=source.pk).update(status=Source.Status.RETIRED)
    assert "Sync Now" not in text(editor.client.get(of_source("source", source)))

    page = text(editor.client.post(of_source("sync_source", source), follow=True))

    assert "is not synced any more" in page


# Stop


def test_stop_now_asks_first_and_says_what_becomes_of_it(source, editor):
    editor.client.post(of_source("sync_source", source))
    run = SyncRun.objects.latest("pk")
    assert of_run("stop_run", run) in text(editor.client.get(of_run("run", run)))
    page = text(editor.client.get(of_run("stop_run", run)))
    assert "Stop the sync of features_by_email?" in page
    assert "would follow is dropped too" in page
    assert SyncRun.objects.get(pk=run.pk).state == RunState.QUEUED

    page = text(editor.client.post(of_run("stop_run", run), follow=True))

    assert "The sync is stopped." in page
    assert f"Stopped by {editor.user.email}." in page
    assert SyncRun.objects.get(pk=run.pk).state == RunState.CANCELLED


def test_a_sync_that_has_ended_cannot_be_stopped(source, editor):
    run = SyncRun.objects.filter(source=source).get()

    for answer in (
        editor.client.get(of_run("stop_run", run), follow=True),
        editor.client.post(of_run("stop_run", run), follow=True),
    ):
        assert "The sync has ended already." in text(answer)
    assert SyncRun.objects.get(pk=run.pk).state == RunState.SUCCEEDED


# A whole project


def test_sync_now_of_a_project_starts_what_is_idle_and_has_the_rest_follow(activation, project, editor):
    SyncRun.objects.filter(source__id_type="email").update(state=RunState.SUCCEEDED)

    page = text(editor.client.post(of_project("sync", project), follow=True))

    assert "1 of 2 sources have an active sync; another one follows it." in page
    assert SyncRun.objects.filter(source__id_type="email").count() == 2
    assert SyncRun.objects.filter(source__id_type="salesforce_id").count() == 1
    assert Source.objects.get(id_type="salesforce_id").follow_up["by"] == editor.user.email


def test_stop_now_of_a_project_stops_every_active_sync(activation, project, editor):
    page = text(editor.client.get(of_project("stop", project)))
    assert "Stop 2 syncs?" in page

    page = text(editor.client.post(of_project("stop", project), follow=True))

    assert "2 syncs are stopped." in page
    assert set(SyncRun.objects.values_list("state", flat=True)) == {RunState.CANCELLED}
    assert "No sync is active." in text(editor.client.get(of_project("stop", project), follow=True))


def test_a_full_sync_of_a_project_asks_first(source, project, editor):
    assert "every feature view of Customer 360" in text(editor.client.get(of_project("full_sync", project)))

    editor.client.post(of_project("full_sync", project))

    assert SyncRun.objects.filter(kind=FULL).count() == 2


# The schedule


def test_a_project_that_is_not_synced_yet_is_led_to_the_switch(project, editor):
    page = text(editor.client.get(of_project("schedule", project)))

    assert "Turn on the sync to Redis first" in page


def test_a_project_is_synced_after_each_profiles_run_until_told_otherwise(activation, project, editor):
    page = text(editor.client.get(of_project("schedule", project)))

    assert 'value="profiles"' in page
    assert "Not by the clock: after each Profiles run." in page
    assert schedules.of(Activation.objects.get()) == AfterProfilesRuns()


def test_an_interval_shows_its_next_five_times(activation, project, editor):
    form = {"kind": "basic", "minutes": "360", "start": "3:30"}

    page = text(editor.client.post(of_project("schedule", project), form, follow=True))

    assert "Customer 360 is synced every 6 hours, counted from 03:30 UTC." in page
    assert page.count('<th scope="row">') == 5
    assert ", 03:30" in page
    assert ", 21:30" in page
    activation.refresh_from_db()
    assert activation.next_sync_at > timezone.now()
    assert "every 6 hours, counted from 03:30 UTC" in text(editor.client.get(of_project("settings", project)))


def test_an_expression_is_kept_as_it_is_understood(activation, project, editor):
    editor.client.post(of_project("schedule", project), {"kind": "cron", "expression": " 30  3 * * mon-fri"})

    assert schedules.of(Activation.objects.get()) == Cron("30 3 * * MON-FRI")
    assert 'value="30 3 * * MON-FRI"' in text(editor.client.get(of_project("schedule", project)))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"kind": "cron", "expression": "0,1 * * * *"}, "Leave at least 5 minutes between any two times."),
        ({"kind": "cron", "expression": ""}, "Enter an expression of five fields"),
        ({"kind": "cron", "expression": "0 3 * *"}, "A CRON expression has five fields"),
        ({"kind": "cron", "expression": "0 25 * * *"}, "The hour cannot be"),
        ({"kind": "basic", "minutes": "60", "start": "25:00"}, "Enter a time of day in UTC as hours and minutes"),
        ({"kind": "basic", "minutes": "7"}, "Select a valid choice"),
        ({"kind": "basic"}, "Choose how often."),
        ({"kind": "never"}, "Select a valid choice"),
        ({}, "This field is required."),
    ],
)
def test_what_cannot_be_a_schedule_is_said_at_its_field_and_changes_nothing(activation, project, editor, form, said):
    answer = editor.client.post(of_project("schedule", project), form)

    assert said in text(answer)
    assert (answer.status_code, schedules.of(Activation.objects.get())) == (422, AfterProfilesRuns())


def test_what_belongs_to_another_choice_does_not_matter(activation, project, editor):
    form = {"kind": "manual", "minutes": "x", "start": "25:00", "expression": "nonsense"}

    assert editor.client.post(of_project("schedule", project), form).status_code == 303

    assert schedules.of(Activation.objects.get()) == Manual()


def test_viewers_read_the_schedule_in_words(activation, project, viewer):
    page = text(viewer.client.get(of_project("schedule", project)))

    assert "This project is synced after each Profiles run." in page
    assert "<form" not in page.split("<main")[1]


def test_a_run_that_is_reported_says_whether_a_sync_follows_it(activation, project, editor):
    def said() -> str:
        return text(editor.client.post(of_project("report_profiles_run", project), follow=True))

    assert "The run is recorded. The sync starts within seconds." in said()
    editor.client.post(of_project("schedule", project), {"kind": "manual"})
    assert "The run is recorded. No sync follows it: the project is synced when somebody starts it." in said()
    Activation.objects.update(schedule={}, enabled=False)
    assert "The run is recorded. No sync follows it: the sync to Redis is off." in said()
