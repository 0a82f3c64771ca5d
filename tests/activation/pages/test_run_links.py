"""Where a run's page leads: to the runs beside it, to the Profiles run it read, and to where its error is repaired."""

from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from activation import run_pages, syncs
from activation.models import RunState, Source, SyncRun


def address(run: SyncRun) -> str:
    return reverse("activation:run", args=["acme", run.public_id])


def text(response) -> str:
    return " ".join(unescape(strip_tags(response.content.decode())).split())


@pytest.fixture
def runs(activation) -> list[SyncRun]:
    """Three runs of a source, the oldest first, the last two of the same moment."""
    [first] = SyncRun.objects.filter(source__id_type="email")
    SyncRun.objects.filter(pk=first.pk).update(state=RunState.SUCCEEDED)
    at = first.queued_at + timedelta(seconds=5)
    made = [
        SyncRun.objects.create(source=first.source, trigger="schedule", state=RunState.SUCCEEDED, queued_at=at)
        for _ in range(2)
    ]
    return [first, *made]


def fail(run: SyncRun, code: str) -> None:
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.FAILED, error_code=code, error="Redis said no.")


def test_the_runs_of_the_same_source_are_a_step_away(runs, viewer):
    first, second, third = runs
    for run, older, newer in ((first, None, second), (second, first, third), (third, second, None)):
        page = viewer.client.get(address(run)).content.decode()
        for rel, beside in (("prev", older), ("next", newer)):
            assert (f'rel="{rel}"' in page) == (beside is not None)
            assert beside is None or address(beside) in page


def test_the_profiles_run_it_read_is_a_link_to_the_time_line(activation, runs, viewer):
    profiles_run = runs[0].profiles_run
    assert profiles_run is not None
    page = viewer.client.get(address(runs[0]))
    assert f"history/?run={profiles_run.public_id}" in page.content.decode()
    assert "of what Profiles run seq 12 made" in text(page)
    SyncRun.objects.filter(pk=runs[0].pk).update(trigger="profiles_run")
    assert "A Profiles run finished: seq 12" in text(viewer.client.get(address(runs[0])))


@pytest.mark.parametrize(
    ("code", "offered"),
    [
        ("wrongpass", "Edit the connection"),
        ("client_certificate_missing", "Edit the connection"),
        ("warehouse_refused", "Edit the warehouse"),
        ("relation_missing", "See where the views are"),
        ("stalled", "Sync Now"),
    ],
)
def test_a_failed_run_offers_to_repair_it_and_to_sync_again(runs, admin, code, offered):
    fail(runs[-1], code)
    page = text(admin.client.get(address(runs[-1])))
    assert offered in page
    assert page.count(" Sync Now ") >= 1


def test_missing_rights_come_with_the_line_that_grants_them_to_who_uses_these_keys(runs, viewer):
    fail(runs[-1], "noperm")
    destination = runs[-1].source.destination
    prefix = f"{destination.workspace_id}:{destination.public_id}:"
    page = text(viewer.client.get(address(runs[-1])))
    assert (
        f"then press Sync Now: ACL SETUSER <user> ~{prefix}* +@read +@write +@scripting +@connection +@transaction What"
        in page
    )
    destination.settings = {**destination.settings, "clusterMode": True}
    destination.save()
    assert "+@transaction +cluster|slots" in text(viewer.client.get(address(runs[-1])))


def test_a_certificate_is_told_by_what_is_wrong_with_it(runs, admin):
    fail(runs[-1], "certificate_refused")
    page = admin.client.get(address(runs[-1]))
    pasted = "Paste the certificate of its CA under CA certificate. Edit the destination for that, and press Sync Now."
    assert pasted in text(page)
    assert "Edit the connection" in text(page)
    assert "/help/troubleshooting/#certificate_refused" in page.content.decode()
    SyncRun.objects.filter(pk=runs[-1].pk).update(error="localhost:1: certificate has expired")
    page = admin.client.get(address(runs[-1]))
    assert "Have the server's certificate renewed. Then press Sync Now." in text(page)
    assert "Edit the connection" not in text(page)


def test_who_may_not_repair_it_is_offered_what_they_may(runs, editor, viewer):
    fail(runs[-1], "refused")
    edited, viewed = (member.client.get(address(runs[-1])).content.decode() for member in (editor, viewer))
    assert "Edit the connection" not in edited + viewed
    assert 'id="sync-now"' in edited
    assert 'id="sync-now"' not in viewed


def test_a_missing_grant_comes_with_the_sql(runs, admin, warehouse):
    warehouse.kind, warehouse.settings = "postgresql", {"database": "shop", "user": "rudder"}
    warehouse.save()
    fail(runs[-1], "grant_missing")
    page = text(admin.client.get(address(runs[-1])))
    assert 'CREATE SCHEMA IF NOT EXISTS "_rudderstack"' in page
    assert "rudder" in page


def test_a_failed_run_that_another_followed_leads_to_that_one(runs, admin):
    fail(runs[0], "refused")
    page = admin.client.get(address(runs[0]))
    assert "A newer sync followed: succeeded" in text(page)
    assert "Edit the connection" not in text(page)
    assert 'id="sync-now"' not in page.content.decode()


def test_a_run_that_succeeded_offers_nothing_to_repair(runs, admin):
    assert 'id="sync-now"' not in admin.client.get(address(runs[-1])).content.decode()


def test_the_bar_is_whole_and_every_phase_that_began_is_seen(runs):
    run = SyncRun.objects.select_related("source").get(pk=runs[0].pk)
    now = timezone.now()
    run.queued_at, run.snapshot_at, run.loading_at = (now - timedelta(seconds=ago) for ago in (100, 100, 99))
    run.finishing_at = run.finished_at = now

    phases = run_pages.tell(run, now=now).phases

    assert [phase.share for phase in phases] == [19, 19, 943, 19]
    assert sum(phase.share for phase in phases) == 1000
    assert [phase.start for phase in phases] == [0, 19, 38, 981]


def test_a_phase_says_when_it_began_to_the_second_for_a_script_to_put_into_the_readers_zone(runs, viewer):
    began = runs[0].queued_at
    page = viewer.client.get(address(runs[0])).content.decode()
    assert f'title="{began:%Y-%m-%d %H:%M:%S} UTC" data-moment="second">{began:%H:%M:%S} UTC</time>' in page


def test_a_run_that_waits_has_one_phase_in_its_bar(runs):
    run = SyncRun.objects.select_related("source").get(pk=runs[0].pk)
    run.state = RunState.QUEUED
    phases = run_pages.tell(run, now=run.queued_at + timedelta(seconds=3)).phases
    assert [(phase.share, phase.length) for phase in phases] == [(1000, "3 s"), (0, ""), (0, ""), (0, "")]


def test_a_source_that_is_not_synced_any_more_offers_no_sync(runs, admin):
    Source.objects.update(status=Source.Status.RETIRED)
    fail(runs[-1], "refused")
    assert not syncs.is_served(Source.objects.get(id_type="email"))
    assert 'id="sync-now"' not in admin.client.get(address(runs[-1])).content.decode()
