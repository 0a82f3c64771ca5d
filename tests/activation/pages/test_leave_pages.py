"""The way out of a removal that cannot end: where it is offered, what it tells first, and what it leads to."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from activation import enabling, reconciles, removals
from activation.models import Activation, RunState, ServerLook, Source, SyncPartition, SyncRun


def text(response) -> str:
    return " ".join(response.content.decode().split())


def address(source: Source, name: str = "leave_source") -> str:
    return reverse(f"activation:{name}", args=["acme", source.public_id])


@pytest.fixture
def sources(activation: Activation, admin) -> list[Source]:
    """Two sources whose removal has begun."""
    enabling.disable(activation.project, by=admin.actor, now=timezone.now(), remove=True)
    return list(Source.objects.order_by("feature_view"))


def fail(*sources: Source) -> None:
    removal = SyncRun.objects.filter(source__in=sources, kind=SyncRun.Kind.REMOVAL)
    removal.update(state=RunState.FAILED, error_code="connection_failed", error="Redis does not answer.")


def page_of_run(client, source: Source) -> str:
    run = SyncRun.objects.filter(source=source).latest("pk")
    return text(client.get(reverse("activation:run", args=["acme", run.public_id])))


def test_it_is_offered_to_admins_once_the_removal_has_met_trouble(sources, admin, editor):
    source, other = sources
    way_out = f'href="{address(source)}"'
    assert way_out not in text(admin.client.get(address(source, "source")))
    assert way_out not in page_of_run(admin.client, source)
    too_early = text(admin.client.get(address(source), follow=True))
    assert "was tried in vain" in too_early
    assert "was tried in vain" in text(admin.client.post(address(source), follow=True))

    removal = SyncRun.objects.get(source=source, kind="removal")
    partition = SyncPartition.objects.create(run=removal, number=0, error_code="connection_failed")
    page = text(admin.client.get(address(source, "source")))
    assert way_out in page
    assert "Their removal has met trouble and is being tried again." in page
    partition.delete()
    SyncRun.objects.filter(pk=removal.pk).update(retries=1, error="Redis does not answer.")
    assert way_out in page_of_run(admin.client, source)
    fail(source)
    page = text(admin.client.get(address(source, "source")))
    assert way_out in page
    assert address(source, "remove_source") in page
    for may_not in (page_of_run(editor.client, source), text(editor.client.get(address(source, "source")))):
        assert way_out not in may_not
    assert editor.client.post(address(source)).status_code == 403
    assert address(other) not in page_of_run(admin.client, other)
    assert Source.objects.filter(status=Source.Status.REMOVING).count() == 2


def test_what_that_means_is_told_before_it_is_done(sources, admin):
    source, _ = sources
    Source.objects.filter(pk=source.pk).update(base_rows=52_318)
    fail(source)
    page = text(admin.client.get(address(source)))
    assert "52,318" in page
    assert "personal data that nobody looks after" in page
    assert "This Redis answers" not in page
    assert 'name="others"' not in page

    answer = admin.client.post(address(source))

    assert (answer.status_code, answer.url) == (303, address(source, "source"))
    page = text(admin.client.get(answer.url))
    assert "What was left in Redis is not looked after any more." in page
    assert 'id="left"' in page
    assert "said to be gone for good" in page
    assert reverse("activation:reconcile", args=["acme", source.destination.public_id]) in page
    for gone in ("leave_source", "remove_source"):
        assert address(source, gone) not in page
    again = text(admin.client.post(address(source), follow=True))
    assert "are removed already" in again
    [event] = AuditEvent.objects.filter(action="source_left_behind")
    assert (event.target_id, event.details["profiles"]) == (source.public_id, 52_318)


def test_a_redis_that_answers_is_said_to_be_there(sources, admin):
    source, _ = sources
    fail(source)
    now = timezone.now()
    look = ServerLook.objects.create(destination=source.destination, told_at=now - timedelta(minutes=1))
    assert "This Redis answers" in text(admin.client.get(address(source)))
    ServerLook.objects.filter(pk=look.pk).update(problem="connection_failed")
    assert "This Redis answers" not in text(admin.client.get(address(source)))
    ServerLook.objects.filter(pk=look.pk).update(problem="", told_at=now - timedelta(hours=1))
    assert "This Redis answers" not in text(admin.client.get(address(source)))


def test_all_that_cannot_be_removed_from_it_is_left_at_once(sources, admin):
    source, other = sources
    fail(source, other)
    page = text(admin.client.get(address(source)))
    assert "Also leave the other one that cannot be removed from this Redis" in page
    assert f"{other}." in page
    admin.client.post(address(source), {"others": "on"})
    assert set(Source.objects.values_list("status", flat=True)) == {Source.Status.REMOVED}
    assert AuditEvent.objects.filter(action="source_left_behind").count() == 2


def test_the_others_stay_unless_they_are_chosen(sources, admin):
    source, other = sources
    fail(source, other)
    admin.client.post(address(source))
    assert Source.objects.get(pk=other.pk).status == Source.Status.REMOVING


def test_the_page_on_which_a_project_is_deleted_leads_to_it(sources, admin, project):
    delete = reverse("projects:delete", args=["acme", project.slug])
    page = text(admin.client.post(delete, {"name": project.name}))
    assert "is left there on the feature view&#x27;s page" in page
    assert f'<a href="{reverse("activation:settings", args=["acme", project.slug])}">See its sync' in page
    fail(*sources)
    removals.leave_all_behind(sources, by=admin.actor, now=timezone.now())
    assert admin.client.post(delete, {"name": project.name}).status_code == 303


def test_reconcile_is_advised_once_the_redis_answers_again(sources, admin):
    source, _ = sources
    fail(source)
    now = timezone.now()
    look = ServerLook.objects.create(destination=source.destination, told_at=now - timedelta(minutes=1))
    removals.leave_behind(source, by=admin.actor, now=now)
    assert reconciles.advice(source.destination) == ""
    ServerLook.objects.filter(pk=look.pk).update(told_at=now + timedelta(minutes=1))
    assert "said to be gone for good" in reconciles.advice(source.destination)
    looked = reconciles.request(source.destination, by=admin.actor, now=now + timedelta(minutes=2))
    type(looked).objects.update(state="done")
    assert reconciles.advice(source.destination) == ""
