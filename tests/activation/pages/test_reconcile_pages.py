"""Reconcile on a destination's page: asked for, shown with its numbers, confirmed or left by an Admin."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from activation.models import Activation, Reconcile, RedisDestination, Source, SyncRun


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def destination(activation: Activation) -> RedisDestination:
    return activation.destination


def address(destination: RedisDestination, name: str = "reconcile") -> str:
    return reverse(f"activation:{name}", args=["acme", destination.public_id])


@pytest.fixture
def ready(destination: RedisDestination) -> Reconcile:
    """A look that found 1,234 profiles of one source, another one that is not synced, and more."""
    first, second = Source.objects.filter(destination=destination).order_by("pk")
    return Reconcile.objects.create(
        destination=destination,
        state=Reconcile.State.READY,
        requested_by="Ada",
        attempt=3,
        findings={
            str(first.pk): {"found": 52_000, "strays": 1_234, "tables": ["a_table"]},
            str(second.pk): {"found": 500, "uncompared": 500},
        },
        unclaimed=[["", "", "strange", 7], ["user", "email", "old_view", 321]],
        bookkeeping=["a:b:_activation:{0}:x:marker"],
        counts={"keys": 52_500, "foreign": 2},
        warnings=["layout_changed"],
        ready_at=timezone.now(),
    )


def test_before_the_first_look_the_page_says_what_it_is_for(destination, admin, viewer):
    assert "Look through Redis" in text(admin.client.get(address(destination)))
    page = text(viewer.client.get(address(destination)))
    assert "Not looked yet" in page
    assert "Look through Redis" not in page


def test_a_look_that_failed_says_why_and_what_to_do(ready, destination, viewer):
    Reconcile.objects.update(state=Reconcile.State.FAILED, error_code="is_cluster", error="This Redis is a cluster.")
    page = text(viewer.client.get(address(destination)))
    assert "This Redis is a cluster." in page
    assert "Turn Cluster Mode on. Edit the destination for that, and look again." in page
    assert "/help/troubleshooting/#misconfigured" in page


def test_an_admin_asks_for_a_look_and_stops_it(destination, admin):
    answer = admin.client.post(address(destination, "reconcile_start"))
    assert (answer.status_code, answer.url) == (303, address(destination))
    page = text(admin.client.get(address(destination)))
    assert "Waiting for a worker" in page
    assert 'hx-trigger="every 2s"' in page

    again = admin.client.post(address(destination, "reconcile_start"), follow=True)
    assert "is being looked through already" in text(again)
    assert "Nothing was changed in Redis." in text(
        admin.client.post(address(destination, "reconcile_stop"), follow=True)
    )
    assert Reconcile.objects.get().state == Reconcile.State.CANCELLED


def test_the_numbers_are_shown_to_all_and_confirmed_by_admins(destination, ready, admin, viewer):
    page = text(viewer.client.get(address(destination)))
    for words in (
        "Waits for a confirmation",
        "1,234",
        "52,500",
        "Not compared",
        "old_view",
        "An Admin decides.",
        "moved slots",
        "Fields under an entity or id type that no project here has",
    ):
        assert words in page
    assert "Yes, remove" not in page

    wrong = {"look": ready.public_id, "removing": "5"}
    assert "does not wait for a confirmation" in text(
        admin.client.post(address(destination, "reconcile_confirm"), wrong, follow=True)
    )
    page = admin.client.get(address(destination)).content.decode()
    right = dict(re.findall(r'<input type="hidden" name="(look|removing)" value="([^"]*)"', page))
    assert right == {"look": ready.public_id, "removing": "1235"}
    assert admin.client.post(address(destination, "reconcile_confirm"), right).status_code == 303
    ready.refresh_from_db()
    assert (ready.state, ready.confirmed_by) == (Reconcile.State.REMOVING, admin.actor.name)


def test_a_confirmation_of_another_look_is_refused(destination, ready, admin):
    for posted in ({}, {"look": "x", "removing": "1235"}, {"look": ready.public_id, "removing": "²"}):
        assert "does not wait" in text(
            admin.client.post(address(destination, "reconcile_confirm"), posted, follow=True)
        )
    ready.refresh_from_db()
    assert ready.state == Reconcile.State.READY


def test_chosen_views_are_looked_for_once_more(destination, ready, admin):
    nothing = {"look": ready.public_id}
    assert "Choose at least one" in text(
        admin.client.post(address(destination, "reconcile_start"), nothing, follow=True)
    )

    chosen = {"look": ready.public_id, "view": "0"}
    assert admin.client.post(address(destination, "reconcile_start"), chosen).status_code == 303

    ready.refresh_from_db()
    assert ready.state == Reconcile.State.CANCELLED
    source = Source.objects.get(feature_view="old_view")
    assert (source.entity, source.id_type, source.status) == ("user", "email", Source.Status.REMOVED)
    assert Reconcile.objects.latest("pk").state == Reconcile.State.QUEUED


def test_what_was_removed_is_told_with_the_sync_that_did_it(destination, ready, admin):
    [source_id, _] = ready.findings
    run = SyncRun.objects.filter(source_id=source_id).latest("pk")
    SyncRun.objects.filter(pk=run.pk).update(state="loading")
    ready.findings[source_id]["run"] = run.public_id
    Reconcile.objects.update(state=Reconcile.State.DONE, confirmed_by="Ada", findings=ready.findings)
    page = text(admin.client.get(address(destination)))
    assert "Removing" in page
    assert 'hx-trigger="every 2s"' in page
    assert 'id="look-now"' not in page

    SyncRun.objects.filter(pk=run.pk).update(state="succeeded", deleted=1_230)
    page = text(admin.client.get(address(destination)))

    assert 'Succeeded: <span class="number">1,230</span> deleted' in page
    assert reverse("activation:run", args=["acme", run.public_id]) in page
    assert "Look again" in page


def test_it_is_offered_with_the_sources_of_adopted_data(destination, viewer):
    assert "Go to Reconcile" not in text(viewer.client.get(address(destination, "destination_sources")))
    RedisDestination.objects.update(workspace_id="hosted")
    page = text(viewer.client.get(address(destination, "destination_sources")))
    assert "was adopted" in page
    assert address(destination) in page.split("Go to Reconcile")[0]
