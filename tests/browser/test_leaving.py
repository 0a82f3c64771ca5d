"""A removal that cannot end is given up in a browser: on pages that fit, in words that lead from one to the next."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from activation.models import Activation, RunState, ServerLook, Source, SyncRun
from tests.browser import scenes
from tests.browser.scenes import LONG, SAID, Scene
from tests.browser.test_gallery import judge, log_in, page

__all__ = ["page"]
pytestmark = pytest.mark.browser


def cannot_be_removed(scene: Scene) -> Source:
    """Have two sources of the scene whose removal failed, into a Redis that answers looks all the same."""
    source = Source.objects.get(public_id=scene.parts["source"])
    Activation.objects.filter(pk=source.activation_id).update(enabled=False)
    kept = {"activation": source.activation, "destination": source.destination, "entity": "user"}
    other = Source.objects.create(**kept, id_type="salesforce_id", feature_view=f"{LONG.lower()}_views")
    now = timezone.now()
    ServerLook.objects.update_or_create(destination=source.destination, defaults={"problem": "", "told_at": now})
    for each in (source, other):
        SyncRun.objects.create(
            source=each,
            kind=SyncRun.Kind.REMOVAL,
            trigger=SyncRun.Trigger.PERSON,
            state=RunState.FAILED,
            error_code="unreachable",
            error=SAID,
            queued_at=now + timedelta(seconds=1),
            finished_at=now + timedelta(seconds=2),
        )
    Source.objects.filter(pk__in=(source.pk, other.pk)).update(status=Source.Status.REMOVING, base_rows=52_318)
    return source


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_removed_is_left_from_the_page_of_its_destination(page: Page, live_server: LiveServer) -> None:
    scene = scenes.made("error")
    source = cannot_be_removed(scene)
    log_in(page, live_server, scene)
    where = scene.parts["organisation"]
    delete = reverse("activation:destination_delete", args=[where, source.destination.public_id])
    problems = judge(page, page.goto(live_server.url + delete), "destination_delete", "stuck")
    page.get_by_role("link", name=f"Leave what is there of {source}").click()
    page.get_by_role("heading", name="Leave these profiles in Redis?").wait_for()
    problems += judge(page, None, "leave_source", "stuck")
    assert page.get_by_role("heading", name="This Redis answers").is_visible()
    page.get_by_label("Also leave the other one").check()
    page.get_by_role("button", name="Yes, leave it").click()
    page.get_by_role("heading", name="Left in Redis").wait_for()
    problems += judge(page, None, "source", "left")
    run = SyncRun.objects.filter(source=source).latest("pk")
    Source.objects.update(status=Source.Status.REMOVING)
    problems += judge(
        page, page.goto(live_server.url + reverse("activation:run", args=[where, run.public_id])), "run", "stuck"
    )
    assert page.get_by_role("link", name="Leave what is there").is_visible()
    source_page = reverse("activation:source", args=[where, source.public_id])
    problems += judge(page, page.goto(live_server.url + source_page), "source", "stuck")
    delete = reverse("projects:delete", args=[where, scene.parts["project"]])
    page.goto(live_server.url + delete)
    page.get_by_role("textbox").last.fill(source.activation.project.name)
    page.get_by_role("button", name="Yes, delete").click()
    page.get_by_role("link", name="See its sync and its feature views").wait_for()
    problems += judge(page, None, "project_delete", "stuck")
    assert problems == []
